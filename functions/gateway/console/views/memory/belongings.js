// Taking the whole memory along, bringing one back, and forgetting everything.
import { busy, field, fill, h, select } from "../../dom.js";
import { typed } from "../../dialog.js";
import { Fault, faultBox } from "../../faults.js";
import { bytes, count, moment, plural } from "../../format.js";
import { icon } from "../../icons.js";
import { notice } from "../../notice.js";

const WORDS = "forget everything";
const FORMATS = [["jsonl", "Complete, as JSON lines"], ["markdown", "To read, as Markdown"]];
const KINDS = [["", "Find out"], ["jsonl", "Export of this service"], ["openai", "ChatGPT's conversations.json"], ["markdown", "Markdown export"], ["locomo", "Dialogues as JSON"], ["git", "DiffMem, git fast-export"]];

export class Belongings {
  constructor(shell, changed) {
    Object.assign(this, { shell, changed });
    this.element = h("div.belongings", {}, this.exporting(), this.importing(), this.erasing());
  }

  async enter() {}

  exporting() {
    const format = select(FORMATS, "jsonl");
    const place = h("div", { role: "status" });
    const button = h("button.primary", { type: "button" }, icon("download"), "Export");
    button.addEventListener("click", () => busy(button, () => this.export(format.value, place)));
    return card("Take it along", "Every message word for word, every branch, the archive, and each fact with its history.", field("Format", format), button, place);
  }

  async export(format, place) {
    const told = h("p.quiet", {}, "Reading …");
    fill(place, h("progress", { "aria-label": "Exporting" }), told);
    try {
      const response = await this.shell.api.send(`/v1/memory/export?format=${format}`);
      const pieces = await gathered(response.body, (size) => {
        told.textContent = `${bytes(size)} so far`;
      });
      const whole = new Blob(pieces, { type: response.headers.get("content-type") });
      if (format === "jsonl" && !(await whole.slice(-300).text()).includes('"type":"end"')) {
        throw new Fault("The export was cut short.");
      }
      save(whole, `memory-${new Date().toISOString().slice(0, 10)}.${format === "jsonl" ? "jsonl" : "md"}`);
      fill(place, h("p.good", {}, icon("check"), `Exported, ${bytes(whole.size)}. It is in your downloads.`));
    } catch (error) {
      fill(place, faultBox(error instanceof Fault ? error : new Fault("The export was cut short."), () => this.export(format, place)));
    }
  }

  importing() {
    const file = h("input", { type: "file", accept: ".jsonl,.json,.md,.ndjson,.txt,application/json" });
    const kind = select(KINDS, "");
    const place = h("div", { role: "status" });
    const button = h("button.primary", { type: "submit" }, icon("upload"), "Import");
    const form = h("form", {}, field("File", file, `Up to ${bytes(this.shell.config.max_import_bytes)}. What is there already stays as it is.`), field("What it is", kind), button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!file.files.length) file.focus();
      else busy(button, () => this.import(file.files[0], kind.value, place));
    });
    return card("Bring a past", "An export of this service, or a past from elsewhere. Sent twice, it is taken once.", form, place);
  }

  async import(file, kind, place) {
    const bar = h("progress", { max: 1, value: 0, "aria-label": "Importing" });
    const told = h("p.quiet", {}, "Sending …");
    fill(place, bar, told);
    try {
      const report = await this.upload(file, kind, (share) => {
        if (share < 1) bar.value = share;
        else {
          bar.removeAttribute("value");
          told.textContent = "Taking it in …";
        }
      });
      fill(place, imported(report));
      this.changed();
    } catch (fault) {
      fill(place, faultBox(fault));
    }
  }

  // fetch cannot tell how much has been sent.
  async upload(file, kind, progress) {
    const first = await this.posted(file, kind, progress);
    if (first.status !== 401 || !(await this.shell.identity.renewed())) return reported(first, this.shell.identity);
    return reported(await this.posted(file, kind, progress), this.shell.identity);
  }

  posted(file, kind, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `/v1/memory/import${kind ? `?format=${kind}` : ""}`);
      for (const [name, value] of Object.entries(this.shell.api.credentials())) request.setRequestHeader(name, value);
      request.setRequestHeader("content-type", "application/octet-stream");
      request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 1);
      request.onload = () => resolve(new Response(request.response, { status: request.status, headers: { "retry-after": request.getResponseHeader("retry-after") ?? "" } }));
      request.onerror = () => reject(new Fault("The file could not be sent."));
      request.send(file);
    });
  }

  erasing() {
    const place = h("div", { role: "status" });
    const button = h("button.danger", { type: "button" }, icon("trash"), "Forget everything");
    button.addEventListener("click", () => busy(button, () => this.erase(place)));
    return card("Forget everything", "Every message, conversation, fact and archive of this memory is deleted. Export first: nobody can bring it back.", button, place);
  }

  async erase(place) {
    const sure = await typed("Forget everything?", h("p", {}, "Every message, conversation, fact and archive is deleted now, for good."), WORDS, "Forget everything");
    if (!sure) return;
    fill(place, h("progress", { "aria-label": "Forgetting" }), h("p.quiet", {}, "Forgetting …"));
    try {
      const receipt = await this.shell.api.remove("/v1/memory");
      fill(place, erased(receipt));
      notice("Everything is forgotten.");
      this.changed();
    } catch (fault) {
      fill(place, faultBox(fault, () => this.erase(place)));
    }
  }
}

function card(title, text, ...content) {
  return h("section.card", { "aria-label": title }, h("h2", {}, title), h("p", {}, text), content);
}

async function gathered(body, progress) {
  const pieces = [];
  let size = 0;
  const reader = body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return pieces;
    pieces.push(value);
    size += value.length;
    progress(size);
  }
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

async function reported(response, identity) {
  if (response.status === 401) identity.expire();
  if (!response.ok) throw await Fault.of(response);
  return response.json();
}

function imported(report) {
  const told = [
    [report.stored, "new"],
    [report.unchanged, "there already"],
    [report.archived, "to the archive"],
    [report.versions, "versions of facts"],
    [report.skipped, "left aside"],
    [report.refused, "refused"],
  ].filter(([value]) => value);
  const text = told.map(([value, words]) => `${count(value)} ${words}`).join(", ") || "nothing was in it";
  return [
    h("p.good", {}, icon("check"), `Imported: ${text}.`),
    report.whole === false ? h("p.remark", {}, "The file ends early: it is not the whole of an export. Import the whole one; what is there stays.") : null,
    report.errors.length ? h("details", {}, h("summary", {}, `What was refused (${report.errors.length})`), h("ul", {}, report.errors.map((one) => h("li", {}, `Line ${one.line}: ${one.message}`)))) : null,
  ];
}

function erased(receipt) {
  const lines = [
    ["Forgotten", moment(receipt.erased_at)],
    ["Conversations", count(receipt.sessions)],
    ["Documents deleted", count(receipt.documents)],
    ["The last backup is gone", moment(receipt.backups_until)],
    ["GPU tier", receipt.retriever.forgotten ? "has forgotten too" : `its last copy is gone within ${plural(Math.ceil(receipt.retriever.horizon_seconds), "second")}`],
  ];
  return h("div.receipt", {}, h("h3", {}, "Receipt"), h("dl.figures", {}, lines.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
}
