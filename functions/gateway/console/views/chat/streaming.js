// One streamed completion: first its headers, then its text piece by piece.
import { Fault } from "../../faults.js";
import { events } from "../../sse.js";

export async function* streamed(api, { model, mode, session, messages, signal }) {
  const headers = { "x-memory": mode };
  if (session) headers["x-session-id"] = session;
  const began = performance.now();
  const response = await api.send("/v1/chat/completions", {
    method: "POST",
    body: { model, messages, stream: true },
    headers,
    signal,
  });
  yield { headers: response.headers };
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const text = said(parsed(data));
    if (text) yield { text, elapsed: performance.now() - began };
  }
  throw new Fault("The answer was cut short.", { status: 502 });
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new Fault("The model provider sent something that is no answer.", { status: 502 });
  }
}

function said(chunk) {
  if (chunk.error) throw new Fault(chunk.error.message ?? "The answer failed.", { status: 502, code: chunk.error.code });
  const delta = chunk.choices?.[0]?.delta ?? {};
  return delta.content ?? delta.refusal ?? "";
}
