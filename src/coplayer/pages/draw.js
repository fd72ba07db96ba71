// What the page is made of: elements, controls, numbers as text, charts. Every text is set as text, never as HTML.
"use strict";

const Draw = (() => {
  // ---- Elements ----

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

  function signed(value, digits = 2) {
    const text = Math.abs(value).toFixed(digits);
    return value < 0 && Number(text) ? `−${text}` : text;
  }
  const share = (value) => (value === null ? "–" : value.toFixed(2));
  const points = (value) => signed(value, Number.isInteger(Math.round(value * 1e6) / 1e6) ? 0 : 2);
  const capital = (text) => text[0].toUpperCase() + text.slice(1);

  // ---- Controls ----

  /** The buttons of a match that one watches: `play` plays a round; `going` says whether rounds go on by themselves. */
  const watched = ({ play, toggle, end, going }) =>
    el(
      "div",
      { class: "moves" },
      el("button", { class: "primary", id: "next", onclick: play }, "Next round"),
      el("button", { id: "run", onclick: toggle }, going ? "Pause" : "Play on"),
      el("button", { id: "end", onclick: end }, "To the end"),
    );

  /** The form that asks whom one has met, among `groups` of [number, name]; `tell` is given the number. */
  function whoWasIt(groups, tell) {
    const guess = choice(0, groups, () => {});
    const onsubmit = (event) => (event.preventDefault(), tell(Number(guess.value)));
    return el(
      "form",
      { class: "guess", onsubmit },
      el("h2", {}, "Whom did you meet?"),
      field("Your guess", guess),
      el("button", { class: "primary", id: "reveal" }, "Tell me"),
    );
  }

  /** Tell in `table`, of a match that is over, who was met, and whether the guess, a number among `players`, was right. */
  function disclose(table, players, guess) {
    const [met, guessed] = [table.sides[1], guess].map((i) => players[i].name);
    const verdict = guess === table.sides[1] ? `Right: it was ${met}.` : `It was ${met}. You guessed ${guessed}.`;
    Object.assign(table, { guessed: true, ending: null, verdict });
  }

  function field(label, control, help = null) {
    const id = `field-${label.toLowerCase().replace(/\W+/g, "-")}`;
    control.id = id;
    if (help) control.setAttribute("aria-describedby", `${id}-help`);
    return el(
      "div",
      { class: "field" },
      el("label", { for: id }, label),
      control,
      help && el("small", { id: `${id}-help` }, help),
    );
  }

  /** A list to choose from: `groups` of options [value, text] by the group's name; "" for no group. */
  function choice(value, groups, onchange) {
    const option = ([key, text]) => el("option", { value: key, selected: String(key) === String(value) }, text);
    const parts = Object.entries(groups).map(([label, options]) =>
      label ? el("optgroup", { label }, options.map(option)) : options.map(option),
    );
    return el("select", { onchange: (event) => onchange(event.target.value) }, parts);
  }

  /** A field for a whole number from 1 to `most`. What lies outside is put inside once the field is left. */
  function number(most, onchange) {
    const control = el("input", { type: "number", inputmode: "numeric", min: 1, max: most });
    control.addEventListener("input", () => {
      const asked = Number(control.value);
      if (Number.isInteger(asked) && asked >= 1 && asked <= most) onchange(asked);
    });
    control.addEventListener("change", () =>
      onchange(Math.min(most, Math.max(1, Math.round(Number(control.value)) || 1))),
    );
    return control;
  }

  /** Cards to choose one of: [value, title, text] each. */
  function cards(legend, name, entries, chosen, change) {
    const card = ([value, title, text]) =>
      el(
        "label",
        { class: "card" },
        el("input", { type: "radio", name, value, checked: value === chosen, onchange: () => change(value) }),
        el("span", { class: "card-title" }, title),
        el("span", { class: "card-text" }, text),
      );
    return el("fieldset", {}, el("legend", {}, legend), el("div", { class: "cards" }, entries.map(card)));
  }

  /** A part that scrolls sideways where it is too wide, also by keys. */
  const wide = (label, ...content) =>
    el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": label }, content);

  /** A table of numbers: the first cell of a row names it. */
  function numbers(id, caption, head, rows) {
    const row = ([name, ...cells]) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, name),
        cells.map((cell) => el("td", {}, cell)),
      );
    return el(
      "table",
      { class: "numbers", id },
      el("caption", {}, caption),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          head.map((text) => el("th", { scope: "col" }, text)),
        ),
      ),
      el("tbody", {}, rows.map(row)),
    );
  }

  const trained = (about) => about.weights !== undefined;

  /** Players to choose from, as `choice` takes them: those who learned, and those who follow a rule. */
  function byKind(players) {
    const all = players.map((about, i) => [i, about.name]);
    return {
      "Trained players": all.filter(([i]) => trained(players[i])),
      "Players who follow a rule": all.filter(([i]) => !trained(players[i])),
    };
  }

  /** What there is to know of a described player. */
  function about({ about: text, told, numbers: count }) {
    const parts = [text];
    if (count) parts.push(`Its mind is ${count.toLocaleString("en")} numbers.`);
    if (told) parts.push("It was trained to be told whom it meets; here it is told that it meets a learner.");
    return parts.join(" ");
  }

  // ---- Charts ----

  function running(values) {
    let total = 0;
    return values.map((value, i) => (total += value) / (i + 1));
  }

  /** Names as short as charts have room for: their beginnings, or their ends where the beginnings are the same. */
  function brief(names) {
    const cut = (part) => names.map((name) => (name.length > 9 ? part(name) : name));
    const starts = cut((name) => `${name.slice(0, 8)}…`);
    return new Set(starts).size === names.length ? starts : cut((name) => `…${name.slice(-8)}`);
  }

  /** The names of both sides, told apart. */
  const apart = (names) => (names[0] === names[1] ? [`${names[0]} (first)`, `${names[1]} (second)`] : names);

  /** A name inside a sentence. */
  const inside = (name) => (name === "You" || name === "The other" ? name.toLowerCase() : name);

  /** Labels at the ends of lines, moved apart. */
  function spread(places, gap, low, high) {
    const order = places.map((y, i) => [y, i]).sort((one, other) => one[0] - other[0]);
    let last = low - gap;
    for (const item of order) last = item[0] = Math.max(item[0], last + gap);
    let next = high + gap;
    for (const item of order.reverse()) next = item[0] = Math.min(item[0], next - gap);
    return order.sort((one, other) => one[1] - other[1]).map(([y]) => y);
  }

  /** Lines over rounds. A series: {name, values, style}; a value may be null. `breaks`: rounds where episodes begin. */
  function lineChart(width, { series, low, high, label, format = share, mark = null, breaks = [], height = 210 }) {
    const [left, right, top, bottom] = [38, 104, 10, 24];
    const count = Math.max(...series.map(({ values }) => values.length), 2);
    const x = (t) => left + ((width - left - right) * t) / (count - 1);
    const y = (value) => top + ((height - top - bottom) * (high - value)) / (high - low || 1);
    const parts = [low, (low + high) / 2, high].map((value) => [
      svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)),
    ]);
    for (const t of breaks)
      parts.push(svg("line", { x1: x(t), x2: x(t), y1: top, y2: height - bottom, class: "break" }));
    if (mark !== null)
      parts.push(svg("line", { x1: x(mark), x2: x(mark), y1: top, y2: height - bottom, class: "mark" }));
    for (const t of [0, count - 1])
      parts.push(svg("text", { x: x(t), y: height - 6, "text-anchor": "middle" }, String(t + 1)));
    parts.push(svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, "round"));
    const ends = [];
    for (const { values, style } of series) {
      const shown = values.map((value, t) => [value, t]).filter(([value]) => value !== null);
      const d = shown.map(([value, t], i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(value).toFixed(1)}`).join("");
      if (shown.length > 1) parts.push(svg("path", { d, class: `line ${style}` }));
      for (const [value, t] of shown.slice(-1))
        parts.push(svg("circle", { cx: x(t), cy: y(value), r: 3.2, class: `dot ${style}` }));
      ends.push(shown.length ? y(shown.at(-1)[0]) : y((low + high) / 2));
    }
    spread(ends, 15, top + 4, height - bottom).forEach((place, i) => {
      const last = series[i].values.findLast((value) => value !== null);
      parts.push(
        svg(
          "text",
          { x: width - right + 10, y: place + 4, class: `name ${series[i].style}` },
          `${series[i].name} ${format(last ?? null)}`,
        ),
      );
    });
    const told = series
      .map(({ name, values }) => `${name} ${format(values.findLast((value) => value !== null) ?? null)}`)
      .join(", ");
    return svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${label}. At the end: ${told}.` },
      parts.flat(),
    );
  }

  /** The imagined futures of an action: what each adds up to, round by round, and their mean. */
  function fan(width, futures, { low, high, style, word }) {
    const [left, right, top, bottom, height] = [30, 8, 8, 22, 150];
    const sums = futures.map((rewards) => rewards.reduce((all, reward) => [...all, all.at(-1) + reward], [0]));
    const count = sums[0].length;
    const middle = sums[0].map((_, t) => Mind.mean(sums.map((row) => row[t])));
    const x = (t) => left + ((width - left - right) * t) / (count - 1);
    const y = (value) => top + ((height - top - bottom) * (high - value)) / (high - low || 1);
    const path = (row) => row.map((value, t) => `${t ? "L" : "M"}${x(t).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const crowded = [low, high].some((end) => end !== 0 && Math.abs(y(end) - y(0)) < 12);
    const ticks = [...new Set(crowded ? [low, high] : [low, 0, high])].map((value) => [
      svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, points(value)),
    ]);
    const label = `${sums.length} imagined futures if it would ${word}: over ${count - 1} rounds they add up to ${signed(middle.at(-1))} in the mean, from ${signed(Math.min(...sums.map((row) => row.at(-1))))} to ${signed(Math.max(...sums.map((row) => row.at(-1))))}.`;
    return svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label },
      ticks.flat(),
      sums.map((row) => svg("path", { d: path(row), class: `future ${style}` })),
      svg("path", { d: path(middle), class: `line ${style}` }),
      svg("circle", { cx: x(count - 1), cy: y(middle.at(-1)), r: 3.5, class: `dot ${style}` }),
      svg(
        "text",
        { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" },
        `${count - 1} imagined rounds`,
      ),
    );
  }

  /** A share from 0 to 1 as a bar, with its number. */
  function bar(value, style = "") {
    const inside = el("span", { class: `bar-fill ${style}` });
    inside.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
    return el(
      "span",
      { class: "bar-row" },
      el("span", { class: "bar", "aria-hidden": "true" }, inside),
      el("span", { class: "number" }, share(value)),
    );
  }

  /** Four shares as columns, in words too; `named`: with the pairs of moves below. */
  function columns(rates, pairs, named) {
    const told = rates.map((rate, joint) => `after ${pairs[joint]} ${rate === null ? "unknown" : share(rate)}`);
    const column = (rate, joint) => {
      const place = { x: 4 + joint * 25, width: 16 };
      return [
        svg("rect", { ...place, y: 2, height: 30, class: rate === null ? "frame unknown" : "frame" }),
        rate !== null && svg("rect", { ...place, y: 31 - 29 * rate, height: 1 + 29 * rate, class: "fill" }),
        named && svg("text", { x: place.x + 8, y: 46, "text-anchor": "middle" }, pairs[joint]),
      ];
    };
    const size = { width: 100, height: named ? 50 : 34, viewBox: named ? "0 0 100 50" : "0 0 100 34" };
    return svg("svg", { ...size, role: "img", "aria-label": told.join(", "), class: "columns" }, rates.map(column));
  }

  return {
    about,
    apart,
    bar,
    brief,
    byKind,
    capital,
    cards,
    choice,
    columns,
    disclose,
    el,
    fan,
    field,
    inside,
    lineChart,
    number,
    numbers,
    points,
    running,
    share,
    signed,
    spread,
    svg,
    trained,
    watched,
    whoWasIt,
    wide,
  };
})();
