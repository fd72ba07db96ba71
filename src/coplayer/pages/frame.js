// The frame of every page: what it is given, what goes wrong, what is said aloud, what goes on by itself, and what a
// reload keeps.
"use strict";

const Frame = (() => {
  const STORE = "coplayer-match";
  const byId = (id) => document.getElementById(id);
  let maker = ""; // the command that made the page

  function trouble(text) {
    byId("trouble").textContent = text;
    byId("trouble").hidden = false;
  }

  window.addEventListener("error", (event) =>
    trouble(`Something went wrong: ${event.message}. Reload the page to start anew.`),
  );

  /** Say that the page cannot be used, because of this error. */
  function damaged(error) {
    trouble(`This page is damaged: ${error.message}. Make it anew by "${maker}", or copy the file again.`);
  }

  function checksum(text) {
    const table = Uint32Array.from({ length: 256 }, (_, i) => {
      let crc = i;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
      return crc;
    });
    let crc = -1;
    for (let i = 0; i < text.length; i++) crc = (crc >>> 8) ^ table[(crc ^ text.charCodeAt(i)) & 255];
    return ((crc ^ -1) >>> 0).toString(16).padStart(8, "0");
  }

  function check(holds, message) {
    if (!holds) throw new Error(message);
  }

  /**
   * What the page is given, made ready by `prepare`; null where the page is damaged, which it then says. `held`: what
   * the page holds. `command`: what makes such a page.
   */
  function load(prepare, held = "players", command = "coplayer page") {
    maker = command;
    try {
      const node = byId("data");
      check(node, `it holds no ${held}`);
      const whole = checksum(node.textContent) === node.dataset.check;
      check(whole, `its ${held} were changed or cut short after it was made`);
      const data = JSON.parse(node.textContent);
      check(data.format === 1, `its form ${data.format} is not the one that it was made for`);
      return prepare(data);
    } catch (error) {
      damaged(error);
      return null;
    }
  }

  /** The page can be used from now on. */
  function ready(data) {
    byId("made").textContent = `Made by ${data.made}.`;
    byId("trouble").hidden = true;
    byId("trouble").textContent = "";
    byId("app").hidden = false;
  }

  const announce = (text) => (byId("live").textContent = text);

  /**
   * What can go on by itself: `next` is called every `milliseconds` while it does, and says whether that was the end.
   */
  function pacer(milliseconds, next) {
    let timer = 0;

    function pause() {
      clearInterval(timer);
      timer = 0;
    }

    function toggle() {
      if (timer) pause();
      else timer = setInterval(() => next() && pause(), milliseconds);
    }

    return { pause, toggle, going: () => timer !== 0 };
  }

  /** Calls `change` whenever the window has become wider or narrower. */
  function onWidth(change) {
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth === width) return;
      width = window.innerWidth;
      change();
    });
  }

  function remember(kept) {
    try {
      sessionStorage.setItem(STORE, JSON.stringify({ check: byId("data").dataset.check, ...kept }));
    } catch {
      // a browser that keeps nothing: a reload then starts anew
    }
  }

  function forget() {
    try {
      sessionStorage.removeItem(STORE);
    } catch {
      // nothing was kept
    }
  }

  /** Gives what was kept before a reload to `restore`; says whether all went well. */
  function recall(restore) {
    try {
      const kept = JSON.parse(sessionStorage.getItem(STORE));
      if (!kept || kept.check !== byId("data").dataset.check) return false;
      restore(kept);
      return true;
    } catch {
      forget();
      return false;
    }
  }

  return { announce, byId, damaged, forget, load, onWidth, pacer, ready, recall, remember };
})();
