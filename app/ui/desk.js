// The Desk's lists are buttons of our own; each clicks a hidden button of Gradio's by its name.
(() => {
  let held = null; // the button that had the focus, to give it back after its list was drawn anew
  let length = 0;
  const key = (button) => [button.name, button.value];

  addEventListener("click", ({ target }) => {
    const button = target.closest?.("button.pick");
    if (!button) return;
    window.frontdeskDesk.picked = button.value;
    document.querySelector(`button#${button.name}`)?.click();
  });
  addEventListener("focusin", ({ target }) => {
    const button = target.closest?.("button.pick");
    held = button ? key(button) : null;
  });
  addEventListener("pointerdown", ({ target }) => { if (!target.closest?.("button.pick")) held = null; });
  new MutationObserver(() => {
    if (held && document.activeElement === document.body) {
      const [name, value] = held;
      [...document.querySelectorAll(`#desk button.pick[name="${name}"]`)]
        .find((button) => button.value === value)?.focus({ preventScroll: true });
    }
    const talk = document.querySelector("#desk-said .desk-talk");
    const now = talk ? talk.childElementCount + talk.textContent.length : 0;
    if (talk && now !== length) talk.scrollTop = talk.scrollHeight;
    length = now;
  }).observe(document, { childList: true, subtree: true });

  const focus = (selector) => document.querySelector(selector)?.focus();
  window.frontdeskDesk = {
    picked: null,
    focusReply() { focus("#desk-reply textarea"); },
    focusAnswer() {
      const question = document.querySelector("#desk-question textarea");
      focus(question?.value ? "#desk-answer textarea" : "#desk-question textarea");
    },
  };
})();
