// Stands in for https://accounts.google.com/gsi/client: it hands over the ID tokens that the test
// has made, one after another, as Google's script does after a click or by itself.
globalThis.stub = { tokens: TOKENS, prompts: 0, autoSelect: AUTO_SELECT, left: false };
globalThis.google = {
  accounts: {
    id: {
      initialize(options) {
        stub.options = options;
      },
      renderButton(place) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = "Sign in with Google";
        button.addEventListener("click", () => stub.hand());
        place.append(button);
      },
      prompt(listener) {
        stub.prompts += 1;
        if (stub.autoSelect && stub.tokens.length) setTimeout(() => stub.hand());
        else listener?.({ isSkippedMoment: () => true, isNotDisplayed: () => false });
      },
      cancel() {},
      disableAutoSelect() {
        stub.left = true;
        stub.autoSelect = false;
      },
    },
  },
};
stub.hand = () => stub.options.callback({ credential: stub.tokens.shift() });
