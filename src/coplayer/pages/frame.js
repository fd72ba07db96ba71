// The frame of every page: what it is given, what goes wrong, what is said aloud, and what a reload keeps.
"use strict";

const Frame = (() => {
  const STORE = "coplayer-match";
  const byId = (id) => document.getElementById(id);

  function trouble(text) {
    byId("trouble").textContent = text;
    byId("trouble").hidden = false;
  }

  window.addEventListener("error", (event) =>
    trouble(`Something went wrong: ${event.message}. Reload the page to start anew.`),
  );

  function checksum(text) {
    let crc = -1;
    for (let i = 0; i < text.length; i++) {
      crc ^= text.charCodeAt(i);
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ((crc ^ -1) >>> 0).toString(16).padStart(8, "0");
  }

  function read(prepare) {
    const node = byId("data");
    Mind.check(node, "it holds no players");
    Mind.check(
      checksum(node.textContent) === node.dataset.check,
      "its players were changed or cut short after it was made",
    );
    const data = JSON.parse(node.textContent);
    Mind.check(data.format === 1, `its form ${data.format} is not the one that it was made for`);
    return prepare(data);
  }

  /** What the page is given, made ready by `prepare`; null where the page is damaged, which it then says. */
  function load(prepare) {
    try {
      return read(prepare);
    } catch (error) {
      trouble(`This page is damaged: ${error.message}. Make it anew by "coplayer page", or copy the file again.`);
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

  return { announce, byId, forget, load, ready, recall, remember };
})();
