// The page: what runs were trained for, their curves, their play, their settings. All numbers come with the page.
"use strict";

(() => {
  const { capital, choice, el, spread, svg, wide } = Draw;
  const COLOURS = 6;
  const DASHES = 5; // no divisor of the colours, so that 30 lines differ in one of the two
  const FEW_LINES = 3; // in a chart, with which every seed is drawn at first
  const SOME_LINES = 8; // with which intervals are drawn at first
  const FIRST_CHARTS = 4; // that are shown at first
  const FAR_LONGER = 10; // published trainings of more than so many times our x are drawn over ours
  const DRAG = 8; // pixels that make a drag
  const MOST_TOLD = 6; // lines whose values a screen reader is told at once
  const PAGE_STEP = 10; // points that the page keys move by

  const { byId } = Frame;

  // ---- What the page is given ----

  const data = Frame.load((given) => given, "runs", "coplayer report");
  if (!data) return;

  const runs = data.runs;
  const several = runs.length > 1;

  // ---- Numbers as text ----

  const grouped = (value) => value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, "\u202f");

  function show(value, digits = 2) {
    if (value === null || value === undefined) return "–";
    const text = Math.abs(value) >= 1000 ? grouped(Math.abs(value)) : Math.abs(value).toFixed(digits);
    return value < 0 && Number(text) !== 0 ? `−${text}` : text;
  }

  const whole = (value) => (value < 0 ? "−" : "") + grouped(Math.abs(value));

  /** Digits after the point with which numbers that differ by `span` can be told apart. */
  const digitsOf = (span) => Math.max(0, Math.min(8, 2 - Math.floor(Math.log10(span || 1))));

  function duration(seconds) {
    if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} seconds`;
    if (seconds < 5400) return `${(seconds / 60).toFixed(1)} minutes`;
    return `${(seconds / 3600).toFixed(1)} hours`;
  }

  const mean = (values) => {
    const known = values.filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };

  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  const section = (id, title, ...content) =>
    el(
      "section",
      { id, "aria-labelledby": `${id}-title` },
      el("h2", { id: `${id}-title`, tabindex: -1 }, title),
      content,
    );
  const head = (cells) =>
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        cells.map((cell) => el("th", { scope: "col" }, cell)),
      ),
    );

  /** What is made once it is asked for: `make` gives the content when it is opened for the first time. */
  function later(words, make, attributes = {}) {
    const node = el("details", attributes, el("summary", {}, words));
    node.addEventListener("toggle", () => node.open && node.children.length === 1 && node.append(make()));
    return node;
  }

  const pick = (label, ...chosen) => el("label", { class: "field" }, el("span", {}, label), choice(...chosen));

  function tick(label, checked, onchange) {
    const box = el("input", { type: "checkbox", checked, onchange: () => onchange(box.checked) });
    return el("label", { class: "tick" }, box, el("span", {}, label));
  }

  // ---- Scales ----

  /** Round numbers from `low` to `high`, about `count` of them; `integer`: whole ones alone. */
  function ticks(low, high, count, integer = false) {
    const rough = (high - low) / Math.max(1, count);
    const power = 10 ** Math.floor(Math.log10(rough || 1));
    let step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? 1;
    if (integer) step = Math.max(1, Math.round(step));
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
    return found;
  }

  /** The place of the x in ascending `xs` that is nearest. */
  function nearest(xs, x) {
    let low = 0;
    let high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle;
      else high = middle;
    }
    return Math.abs(xs[high] - x) < Math.abs(xs[low] - x) ? high : low;
  }

  /** a to z, then aa, ab and so on. */
  const letter = (place) =>
    (place < 26 ? "" : letter(Math.floor(place / 26) - 1)) + String.fromCharCode(97 + (place % 26));

  // ---- Drawing the charts that are near the window ----

  const waiting = new WeakMap(); // by the area of a chart that has to be drawn: what draws it
  const nearing = new IntersectionObserver(
    (entries) => drawNow(entries.filter(({ isIntersecting }) => isIntersecting).map(({ target }) => target)),
    { rootMargin: "100% 0px" },
  );

  /** Draw charts: those up to a window's height away now, the others once they are. */
  function drawNear(charts) {
    for (const { area, draw } of charts) {
      waiting.set(area, draw);
      nearing.observe(area);
    }
    const near = charts.filter(({ area }) => {
      const { top, bottom } = area.getBoundingClientRect();
      return bottom > -window.innerHeight && top < 2 * window.innerHeight;
    });
    drawNow(near.map(({ area }) => area));
  }

  /** Draw those of these areas that wait for it. All widths are read first, for each drawing changes the page. */
  function drawNow(areas) {
    const found = areas.filter((area) => waiting.has(area)).map((area) => [area, area.clientWidth]);
    for (const [area, width] of found) {
      nearing.unobserve(area);
      waiting.get(area)(width);
      waiting.delete(area);
    }
  }

  window.addEventListener("beforeprint", () => drawNow([...document.querySelectorAll(".plot")]));

  // ---- A part of the page with charts that share x, cursor and zoom ----

  const live = new Map(); // by the part's id: draws its charts, once they are on the page

  /** `curves`: as the page has them, each with the place of its `run`. `xName`: what x counts. `more`: a control. */
  function charts({ id, title, intro, xName, curves, more = null }) {
    const state = { together: several ? "runs" : "sides", range: null, cursor: null, each: false, bands: false };
    const chosen = new Map(); // by way of putting together: the keys of the charts shown
    const hidden = new Set(); // names of lines
    const sides = [...new Set(curves.map(({ label }) => label))];
    let shown = [];

    /** The charts by key: of one quantity, with a line for each side of play or for each run. */
    function all() {
      const found = new Map();
      for (const curve of curves) {
        const side = curve.label ? `, ${curve.label}` : "";
        const bySide = state.together === "sides";
        const key = JSON.stringify(bySide ? [curve.run, curve.quantity] : [curve.quantity, curve.label]);
        const words = capital(curve.quantity.replaceAll("_", " ") || "value");
        const heading = bySide ? (several ? `${runs[curve.run].name}: ${words}` : words) : `${words}${side}`;
        if (!found.has(key)) found.set(key, { key, title: heading, kind: curve.kind, lines: [] });
        found.get(key).lines.push({ name: bySide ? curve.label || words : runs[curve.run].name, curve });
      }
      return found;
    }

    const body = el("div", { class: "plots" });
    const menu = el("div");
    const zoomIn = el("button", { type: "button", onclick: () => zoom(0.5) }, "Zoom in");
    const zoomOut = el("button", { type: "button", onclick: () => zoom(2) }, "Zoom out");
    const reset = el("button", { type: "button", onclick: () => setRange(null) }, "Whole");
    const told = el("p", { class: "unseen", role: "status" });

    function extent() {
      const xs = shown.flatMap((chart) => chart.lines.flatMap(({ curve }) => ends(curve)));
      return [Math.min(...xs), Math.max(...xs)];
    }

    function ends(curve) {
      const own = [curve.x[0], curve.x.at(-1)];
      return curve.published && !farLonger(curve) ? [...own, ...curve.published[0]] : own;
    }

    const farLonger = (curve) => Math.max(...curve.published[0]) > FAR_LONGER * curve.x.at(-1);

    function setRange(range) {
      const [low, high] = extent();
      const size = range ? range[1] - range[0] : Infinity;
      const first = range && Math.min(Math.max(low, range[0]), high - size);
      state.range = size < high - low ? [first, first + size] : null;
      told.textContent = state.range
        ? `${capital(xName)} ${whole(Math.round(state.range[0]))} to ${whole(Math.round(state.range[1]))}`
        : "The whole";
      draw();
    }

    function zoom(factor) {
      const [low, high] = state.range ?? extent();
      const least = (extent()[1] - extent()[0]) / 1000;
      const middle =
        state.cursor !== null && state.cursor >= low && state.cursor <= high ? state.cursor : (low + high) / 2;
      const half = Math.max(least, ((high - low) * factor) / 2);
      setRange([middle - half, middle + half]);
    }

    function setCursor(x) {
      state.cursor = x;
      for (const chart of shown) chart.point();
    }

    function draw() {
      reset.disabled = zoomOut.disabled = state.range === null;
      for (const chart of shown) chart.point();
      drawNear(shown);
    }

    function choose() {
      const found = all();
      if (!chosen.has(state.together)) {
        const first = [...found.values()].slice(
          0,
          several && state.together === "runs" ? FIRST_CHARTS : FIRST_CHARTS / 2,
        );
        chosen.set(state.together, new Set(first.map(({ key }) => key)));
      }
      const keys = chosen.get(state.together);
      shown = [...found.values()].filter(({ key }) => keys.has(key)).map((chart) => plot(chart));
      body.replaceChildren(
        ...(shown.length ? shown.map(({ node }) => node) : [el("p", { class: "quiet" }, "No chart is chosen.")]),
      );
      const kinds = { play: "Play", policy: "Policy", learning: "Learning" };
      const choices = () => {
        const parts = Object.entries(kinds).map(([kind, words]) => {
          const own = [...found.values()].filter((chart) => chart.kind === kind);
          if (!own.length) return null;
          const boxes = own.map(({ key, title: heading }) =>
            tick(heading, keys.has(key), (on) => {
              if (on) keys.add(key);
              else keys.delete(key);
              choose();
              draw();
            }),
          );
          return el("fieldset", {}, el("legend", {}, words), boxes);
        });
        return el("div", { class: "choices" }, parts);
      };
      // The boxes stay as they are while one of them is used: only a new way of putting together makes new ones.
      if (menu.dataset.together !== state.together) {
        menu.dataset.together = state.together;
        const open = menu.firstChild?.open;
        menu.replaceChildren(later(`Choose among ${plural(found.size, "chart")}`, choices, { class: "menu", open }));
      }
    }

    /** One chart: a figure with its table of values. */
    function plot({ key, title: heading, lines }) {
      const alone = lines.length === 1;
      for (const { curve } of lines)
        curve.mean ??= curve.x.map((_, i) => mean(curve.values.map((row) => row[i])));
      const marks = lines.map((line) => {
        const place = state.together === "runs" ? line.curve.run : sides.indexOf(line.curve.label);
        return { ...line, mark: letter(place), style: `c${place % COLOURS} d${place % DASHES}` };
      });
      const visible = () => marks.filter(({ name }) => !hidden.has(name));
      const xs = [...new Set(marks.flatMap(({ curve }) => curve.x))].sort((a, b) => a - b);
      const means = marks.flatMap(({ curve }) => curve.mean).filter((value) => value !== null);
      const [least, greatest] = means.reduce(
        ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
        [Infinity, -Infinity],
      );
      const digits = Math.min(digitsOf(greatest - least), marks[0].curve.kind === "learning" ? 8 : 3);
      const number = (value) => show(value, digits);
      const caption = el("caption", {});
      const rows = marks.map(({ name, mark, style, curve }) => {
        const box = el("input", {
          type: "checkbox",
          checked: !hidden.has(name),
          "aria-label": `Show ${name}`,
          onchange: () => {
            if (box.checked) hidden.delete(name);
            else hidden.add(name);
            for (const chart of shown) chart.sync();
            draw();
          },
        });
        const cells = [el("td", { class: "value" }), el("td", { class: "value" }), el("td", { class: "value" })];
        const sample = svg(
          "svg",
          { width: 34, height: 12, viewBox: "0 0 34 12", class: style, "aria-hidden": "true" },
          svg("path", { d: "M1 6H33", class: "mean" }),
        );
        const words = el(
          "th",
          { scope: "row" },
          el("label", {}, !alone && box, sample, !alone && el("i", { class: style }, mark), el("span", {}, name)),
        );
        return { name, curve, box, cells, row: el("tr", {}, words, cells) };
      });
      const legend = el(
        "table",
        { class: "legend" },
        caption,
        head(["Curve", "Mean", "95% interval", "Seeds"]),
        el(
          "tbody",
          {},
          rows.map(({ row }) => row),
        ),
      );
      const area = el("div", {
        class: "plot",
        tabindex: 0,
        role: "slider",
        "aria-label": `${heading} by ${xName}`,
        "aria-valuemin": xs[0],
        "aria-valuemax": xs.at(-1),
        "aria-keyshortcuts": "+ - 0",
      });
      const notes = el("p", { class: "quiet note", hidden: true });
      const node = el(
        "figure",
        { class: "chart", "data-key": key },
        el("figcaption", {}, heading),
        area,
        wide(`Values of ${heading}`, legend),
        notes,
        later("All numbers", everything),
      );
      let scale = null;

      function everything() {
        const title = el("caption", {}, `${heading}: mean over seeds and its 95% interval`);
        const body = xs.map((x) => {
          const cells = marks.map(({ curve }) => {
            const i = curve.x.indexOf(x);
            return el(
              "td",
              {},
              i < 0
                ? "–"
                : interval(curve, i)
                  ? `${number(curve.mean[i])} (${interval(curve, i)})`
                  : number(curve.mean[i]),
            );
          });
          return el("tr", {}, el("th", { scope: "row" }, whole(x)), cells);
        });
        return wide(
          `All numbers of ${heading}`,
          el(
            "table",
            { class: "numbers" },
            title,
            head([capital(xName), ...marks.map(({ name }) => name)]),
            el("tbody", {}, body),
          ),
        );
      }

      const interval = (curve, i) =>
        curve.low[i] === null ? "" : `${number(curve.low[i])} to ${number(curve.high[i])}`;

      /** The place of the cursor in a curve; -1 where the curve is not. */
      function placeIn(curve) {
        if (state.cursor === null) return curve.x.length - 1;
        const i = nearest(curve.x, state.cursor);
        const step = curve.x.length > 1 ? (curve.x.at(-1) - curve.x[0]) / (curve.x.length - 1) : 1;
        return Math.abs(curve.x[i] - state.cursor) <= step ? i : -1;
      }

      /** The cursor, and the values at it. */
      function point() {
        const at = state.cursor;
        caption.textContent = at === null ? `At the end` : `At ${xName} ${whole(at)}`;
        const words = [];
        for (const { name, curve, cells } of rows) {
          const i = placeIn(curve);
          const known = i < 0 ? 0 : curve.values.filter((row) => row[i] !== null).length;
          const texts = i < 0 ? ["–", "", ""] : [number(curve.mean[i]), interval(curve, i) || "–", String(known)];
          cells.forEach((cell, j) => (cell.textContent = texts[j]));
          if (!hidden.has(name))
            words.push(`${name} ${texts[0]}${texts[1] && texts[1] !== "–" ? ` (${texts[1]})` : ""}`);
        }
        const more = words.length - MOST_TOLD;
        const told = more > 0 ? [...words.slice(0, MOST_TOLD), `and ${more} more in the table`] : words;
        area.setAttribute("aria-valuenow", at ?? xs.at(-1));
        area.setAttribute(
          "aria-valuetext",
          `${at === null ? "At the end" : `${capital(xName)} ${whole(at)}`}: ${told.join("; ")}`,
        );
        if (!scale) return;
        const inside = at !== null && at >= scale.low && at <= scale.high;
        scale.cursor.setAttribute("visibility", inside ? "visible" : "hidden");
        if (!inside) return;
        scale.cursor.firstChild.setAttribute("x1", scale.x(at));
        scale.cursor.firstChild.setAttribute("x2", scale.x(at));
        for (const [i, dot] of scale.dots) {
          const { curve } = marks[i];
          const j = placeIn(curve);
          const known = j >= 0 && curve.mean[j] !== null;
          dot.setAttribute("visibility", known ? "inherit" : "hidden");
          if (!known) continue;
          dot.setAttribute("cx", scale.x(curve.x[j]));
          dot.setAttribute("cy", scale.y(curve.mean[j]));
        }
      }

      function draw(room) {
        const width = Math.max(260, room || 480);
        const height = width < 440 ? 230 : 280;
        const [left, right, top, bottom] = [50, alone ? 12 : 24, 12, 38];
        const [low, high] = state.range ?? extent();
        const lines = visible();
        const { each, bands } = state;
        const span = high - low || 1;
        const x = (value) =>
          high === low ? (left + width - right) / 2 : left + ((width - left - right) * (value - low)) / span;
        const stretched = (curve) => (farLonger(curve) ? curve.x.at(-1) / Math.max(...curve.published[0]) : 1);
        const points = (curve) =>
          curve.published ? curve.published[0].map((px, i) => [px * stretched(curve), curve.published[1][i]]) : [];
        let bottomValue = Infinity;
        let topValue = -Infinity;
        const look = (value) => {
          if (value === null) return;
          bottomValue = Math.min(bottomValue, value);
          topValue = Math.max(topValue, value);
        };
        for (const { curve } of lines) {
          curve.x.forEach((cx, i) => {
            if (cx < low || cx > high) return;
            look(curve.mean[i]);
            if (bands) [curve.low[i], curve.high[i]].forEach(look);
            if (each) curve.values.forEach((row) => look(row[i]));
          });
          for (const [px, py] of points(curve)) if (px >= low && px <= high) look(py);
        }
        if (bottomValue > topValue) [bottomValue, topValue] = [0, 1];
        const rate =
          marks.every(({ curve }) => curve.kind !== "learning" && curve.quantity !== "reward") &&
          bottomValue >= 0 &&
          topValue <= 1;
        if (rate && !state.range) [bottomValue, topValue] = [0, 1];
        const pad = (topValue - bottomValue || Math.abs(topValue) || 1) * 0.05;
        [bottomValue, topValue] = [bottomValue - pad, topValue + pad];
        const y = (value) => top + ((height - top - bottom) * (topValue - value)) / (topValue - bottomValue);
        const clip = `clip-${id}-${shown.findIndex((chart) => chart.node === node)}`;
        const path = (xs, values) => {
          let pen = "M";
          return values
            .map((value, i) => {
              if (value === null) {
                pen = "M";
                return "";
              }
              const part = `${pen}${x(xs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
              pen = "L";
              return part;
            })
            .join("");
        };
        const between = (curve) => {
          const known = curve.x.map((_, i) => i).filter((i) => curve.low[i] !== null);
          const there = known.map((i) => `${x(curve.x[i]).toFixed(1)} ${y(curve.high[i]).toFixed(1)}`);
          const back = known.reverse().map((i) => `${x(curve.x[i]).toFixed(1)} ${y(curve.low[i]).toFixed(1)}`);
          return known.length > 1 ? `M${[...there, ...back].join("L")}Z` : "";
        };
        const grid = ticks(bottomValue, topValue, 5).map((value) => [
          svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "gridline" }),
          svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, axisWords(value, topValue - bottomValue)),
        ]);
        const below = ticks(low, high, width < 440 ? 4 : 7, true).map((value) => [
          svg("line", { x1: x(value), x2: x(value), y1: height - bottom, y2: height - bottom + 4, class: "gridline" }),
          svg("text", { x: x(value), y: height - bottom + 17, "text-anchor": "middle" }, whole(value)),
        ]);
        const drawn = lines.map(({ curve, style }) =>
          svg(
            "g",
            { class: style },
            bands && between(curve) && svg("path", { d: between(curve), class: "band" }),
            each &&
              curve.values.length > 1 &&
              curve.values.map((row) => svg("path", { d: path(curve.x, row), class: "each" })),
            curve.mean.filter((value) => value !== null).length > 1
              ? svg("path", { d: path(curve.x, curve.mean), class: "mean" })
              : curve.mean.map(
                  (value, i) =>
                    value !== null && svg("circle", { cx: x(curve.x[i]), cy: y(value), r: 3.5, class: "dot-full" }),
                ),
            points(curve).map(([px, py]) => svg("circle", { cx: x(px), cy: y(py), r: 3, class: "published" })),
          ),
        );
        const last = lines.map(({ curve }) => curve.x.findLastIndex((cx, i) => cx <= high && curve.mean[i] !== null));
        const named = !alone
          ? lines.map((line, i) => ({ ...line, last: last[i] })).filter((line) => line.last >= 0)
          : [];
        const places = spread(
          named.map(({ curve, last: i }) => y(curve.mean[i])),
          12,
          top + 4,
          height - bottom,
        );
        const letters = named.map(({ mark, style, curve, last: i }, at) =>
          svg(
            "text",
            {
              x: (curve.x.at(-1) > high ? width - right : x(curve.x[i])) + 7,
              y: places[at] + 4,
              class: `letter ${style}`,
            },
            mark,
          ),
        );
        const dots = lines.map((line) => [
          marks.indexOf(line),
          svg("circle", { r: 3.6, class: `dot-full ${line.style}` }),
        ]);
        const cursor = svg(
          "g",
          { visibility: "hidden" },
          svg("line", { y1: top, y2: height - bottom, class: "cursor" }),
          dots.map(([, dot]) => dot),
        );
        const drag = svg("rect", { y: top, height: height - top - bottom, class: "drag", visibility: "hidden" });
        area.replaceChildren(
          svg(
            "svg",
            { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
            svg(
              "clipPath",
              { id: clip },
              svg("rect", {
                x: left - 5,
                y: top - 5,
                width: width - left - right + 10,
                height: height - top - bottom + 10,
              }),
            ),
            grid,
            below,
            svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xName),
            svg("g", { "clip-path": `url(#${clip})` }, drawn, cursor),
            letters,
            drag,
          ),
        );
        scale = { low, high, x, y, left, right: width - right, span, cursor, dots, drag };
        const words = [];
        const published = lines.find(({ curve }) => curve.published);
        if (published) {
          words.push("○ published points (Weis et al. 2026).");
          if (farLonger(published.curve))
            words.push(
              `The published training has ${whole(Math.max(...published.curve.published[0]))} ${xName}s; its points are drawn over the length of ours.`,
            );
        }
        const thin = [...new Set(lines.map(({ curve }) => curve.every).filter((every) => every > 1))].sort(
          (a, b) => a - b,
        );
        if (thin.length) words.push(`Thinned: each point is the mean of ${thin.join(" or ")} measurements in a row.`);
        notes.textContent = words.join(" ");
        notes.hidden = !words.length;
        point();
      }

      const valueAt = (event) => {
        const box = area.querySelector("svg").getBoundingClientRect();
        const place =
          (event.clientX - box.left) * (Number(area.querySelector("svg").getAttribute("width")) / box.width);
        return (
          scale.low +
          (scale.span * (Math.min(scale.right, Math.max(scale.left, place)) - scale.left)) /
            (scale.right - scale.left || 1)
        );
      };
      const snapped = (x) => xs[nearest(xs, x)];
      let from = null;
      area.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch") return setCursor(snapped(valueAt(event)));
        if (event.button === 0) from = { x: valueAt(event), pixel: event.clientX };
      });
      area.addEventListener("pointermove", (event) => {
        setCursor(snapped(valueAt(event)));
        if (from === null || Math.abs(event.clientX - from.pixel) < DRAG) return;
        area.setPointerCapture(event.pointerId);
        const [low, high] = [from.x, valueAt(event)].sort((a, b) => a - b);
        scale.drag.setAttribute("x", scale.x(low));
        scale.drag.setAttribute("width", Math.max(0, scale.x(high) - scale.x(low)));
        scale.drag.setAttribute("visibility", "visible");
      });
      area.addEventListener("pointerup", (event) => {
        const begun = from;
        from = null;
        if (begun === null || Math.abs(event.clientX - begun.pixel) < DRAG) return;
        setRange([begun.x, valueAt(event)].sort((a, b) => a - b));
      });
      area.addEventListener("pointercancel", () => (from = null));
      area.addEventListener("pointerleave", (event) => {
        if (event.pointerType !== "touch" && document.activeElement !== area) setCursor(null);
      });
      area.addEventListener("dblclick", () => setRange(null));
      area.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const [low, high] = state.range ?? extent();
        const within = xs.filter((value) => value >= low && value <= high);
        if (!within.length) return;
        const i = nearest(within, state.cursor ?? within.at(-1));
        const to = {
          ArrowLeft: i - 1,
          ArrowDown: i - 1,
          ArrowRight: i + 1,
          ArrowUp: i + 1,
          PageDown: i - PAGE_STEP,
          PageUp: i + PAGE_STEP,
          Home: 0,
          End: within.length - 1,
        };
        if (event.key in to) setCursor(within[Math.min(within.length - 1, Math.max(0, to[event.key]))]);
        else if (event.key === "+" || event.key === "=") zoom(0.5);
        else if (event.key === "-") zoom(2);
        else if (event.key === "0" || event.key === "Escape") setRange(null);
        else return;
        event.preventDefault();
      });

      const sync = () => rows.forEach(({ name, box }) => (box.checked = !hidden.has(name)));
      return { node, area, lines: marks, draw, point, sync };
    }

    choose();
    const lines = Math.max(1, ...shown.map((chart) => chart.lines.length));
    state.each = lines <= FEW_LINES;
    state.bands = lines <= SOME_LINES;
    const severalSeeds = curves.some(({ values }) => values.length > 1);
    const bar = el(
      "div",
      { class: "tools" },
      more,
      several &&
        pick(
          "Each chart shows",
          state.together,
          {
            "": [
              ["runs", "all runs, of one side"],
              ["sides", "all sides, of one run"],
            ],
          },
          (value) => {
            state.together = value;
            hidden.clear();
            choose();
            draw();
          },
        ),
      severalSeeds && tick("Each seed", state.each, (on) => ((state.each = on), draw())),
      severalSeeds && tick("95% intervals", state.bands, (on) => ((state.bands = on), draw())),
      el(
        "div",
        { class: "zoom", role: "group", "aria-label": `Zoom of ${title.toLowerCase()}` },
        zoomIn,
        zoomOut,
        reset,
      ),
    );
    live.set(id, draw);
    return section(id, title, el("p", { class: "quiet" }, intro), bar, menu, told, body);
  }

  function axisWords(value, span) {
    if (Math.abs(value) < span * 1e-9) return "0";
    if (Math.abs(value) >= 1000) return whole(Math.round(value));
    const digits = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(span / 5))));
    const text = Math.abs(value)
      .toFixed(digits)
      .replace(/(\.\d*?)0+$/, "$1")
      .replace(/\.$/, "");
    return value < 0 ? `−${text}` : text;
  }

  // ---- The parts of the page ----

  function stateWords({ state }) {
    if (state.done >= state.phases)
      return `Finished: ${plural(state.phases, "phase")}${state.archived ? ", archived" : ""}`;
    return `Not finished: ${state.done} of ${plural(state.phases, "phase")} done`;
  }

  function evaluatedWords({ evaluated }) {
    if (evaluated.length) return `agents of ${evaluated.length > 1 ? "phases" : "phase"} ${evaluated.join(", ")}`;
    return "not yet; “coplayer evaluate FOLDER” adds play within an episode, where the game has two players";
  }

  function seedWords({ trained: { first_seed: first, seeds } }) {
    return seeds === 1 ? `1 seed, number ${first}` : `${seeds} seeds, ${first} to ${first + seeds - 1}`;
  }

  function timeWords({ state }) {
    if (!state.seconds) return "not kept";
    const times = state.by_phase.map(([, seconds]) => seconds).sort((a, b) => a - b);
    const middle = times[times.length >> 1];
    return (
      duration(state.seconds) +
      (times.length > 1
        ? `; a phase ${duration(times[0])} to ${duration(times.at(-1))}, the middle one ${duration(middle)}`
        : "")
    );
  }

  /** A command whose lines break between flags. */
  const command = (text) =>
    el(
      "code",
      { class: "command" },
      text.split(/ (?=--)/).map((part, i) => [i ? " " : "", el("span", {}, part)]),
    );

  const FACTS = [
    ["Recipe", ({ trained }) => `${trained.recipe}, preset ${trained.preset}.${several ? ` ${trained.shows}` : ""}`],
    ["Source", ({ trained }) => trained.source],
    ["State", stateWords],
    ["Evaluated", evaluatedWords],
    ["Game", ({ trained }) => trained.game],
    ["Seeds", seedWords],
    ["Builds on", ({ trained }) => trained.builds_on.join(", ")],
    ["Time trained", timeWords],
    ["Trains it again", ({ trained }) => command(trained.command)],
  ];

  function trainedPart() {
    if (!several) {
      const rows = FACTS.map(([word, of]) => [word, of(runs[0])]).filter(([, found]) => found);
      return section(
        "trained",
        "What was trained",
        el(
          "dl",
          { class: "facts" },
          rows.map(([word, found]) => [el("dt", {}, word), el("dd", {}, found)]),
        ),
      );
    }
    const facts = FACTS.filter(([, of]) => runs.some((run) => of(run)));
    const table = el(
      "table",
      { class: "numbers beside" },
      el("caption", {}, "The runs"),
      head(["", ...runs.map(({ name }) => name)]),
      el(
        "tbody",
        {},
        facts.map(([word, of]) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, word),
            runs.map((run) => el("td", {}, of(run) || "–")),
          ),
        ),
      ),
    );
    return section("trained", "What was trained", wide("The runs", table));
  }

  const ofRuns = (curves) => runs.flatMap((run, i) => curves(run).map((curve) => ({ ...curve, run: i })));

  function trainingPart() {
    const names = [...new Set(runs.map(({ training }) => training.x))];
    return names
      .map((xName, i) => {
        const curves = ofRuns(({ training }) => (training.x === xName ? training.curves : []));
        const title = names.length > 1 ? `Over training, by ${xName}` : "Over training";
        if (!curves.length) return null;
        const intro = `Means over seeds with 95% bootstrap intervals; thin lines are single seeds. Drag over a chart to zoom in, double-click for the whole. With a chart in focus, the arrow keys move along it, and + − 0 zoom.`;
        return charts({ id: i ? `training-${i}` : "training", title, intro, xName, curves });
      })
      .filter(Boolean);
  }

  function playedParts() {
    const curves = ofRuns(({ played }) => played);
    const over = curves.filter(({ phase }) => phase === null);
    const phases = [...new Set(curves.map(({ phase }) => phase).filter((phase) => phase !== null))].sort(
      (a, b) => a - b,
    );
    const parts = [];
    if (over.length) {
      const intro =
        "The agents of each phase, played anew against fixed and learning players: means over the rounds of their episodes.";
      parts.push(charts({ id: "evaluated", title: "Evaluated after phases", intro, xName: "phase", curves: over }));
    }
    if (phases.length) {
      const intro = "The trained agents, played anew: means over episodes in each round, by whom they meet.";
      const last = runs.map((_, run) =>
        Math.max(...curves.filter((curve) => curve.run === run).map(({ phase }) => phase ?? 0)),
      );
      const chosen = (which) =>
        curves.filter(({ phase, run }) => phase !== null && phase === (which === "last" ? last[run] : Number(which)));
      const of = (which) =>
        charts({
          id: "within",
          title: "Within an episode",
          intro,
          xName: "round",
          curves: chosen(which),
          more: select,
        });
      const options = [
        ["last", several ? "the last phase of each run" : `phase ${phases.at(-1)}, the last`],
        ...phases.slice(0, several ? undefined : -1).map((phase) => [phase, `phase ${phase}`]),
      ];
      const change = (which) => {
        byId("within").replaceWith(of(which));
        live.get("within")();
        select.querySelector("select").focus();
      };
      const select = phases.length > 1 && pick("Agents of", "last", { "": options }, change);
      parts.push(of("last"));
    }
    return parts;
  }

  function innerPart() {
    const curves = ofRuns(({ inner }) => inner);
    if (!curves.length) return null;
    const intro =
      "The last agents with naive learners, who learn after each inner episode: shaping shows as a change from the first inner episode to the last.";
    return charts({ id: "inner", title: "By inner episode", intro, xName: "inner episode", curves });
  }

  function signaturePart() {
    const known = runs.filter(({ signatures }) => signatures);
    if (!known.length) return null;
    const state = { run: known[0], phase: null, whom: "" };
    const body = el("div", {});
    const controls = el("div", { class: "fields row" });

    function average(rows) {
      return rows[0].map((_, i) => mean(rows.map((row) => row[i])));
    }

    function rowsShown({ signatures }) {
      const own = signatures.phases[state.phase];
      if (state.whom) return own[state.whom].map((row, i) => [signatures.agents[i], row]);
      return Object.entries(own).map(([name, rows]) => [signatures.opponents[name], average(rows)]);
    }


    function table() {
      const { signatures, name } = state.run;
      const { pairs } = signatures;
      const cell = (rate) => {
        const node = el("td", { class: "rate" }, show(rate));
        if (rate !== null) node.style.setProperty("--rate", `${Math.round(rate * 100)}%`);
        else node.classList.add("none");
        return node;
      };
      const whom = state.whom
        ? `each agent against ${signatures.opponents[state.whom]}`
        : "by whom the agents meet, mean over agents";
      const caption = `P(cooperate) ${whom}, phase ${state.phase}${several ? `, ${name}` : ""}. A dash: never happened.`;
      const group = (words, span) => el("th", { scope: "colgroup", colspan: span }, words);
      const top = el(
        "tr",
        {},
        el("td", {}),
        group("First move", 1),
        group("Early, after", pairs.length),
        group("Late, after", pairs.length),
        group("After a single", 2),
      );
      const letters = ["", "", ...pairs, ...pairs, "defection", "cooperation"].map((word, i) =>
        i ? el("th", { scope: "col" }, word) : el("td", {}),
      );
      const rows = rowsShown(state.run).map(([label, rates]) =>
        el("tr", {}, el("th", { scope: "row" }, label), rates.map(cell)),
      );
      return wide(
        "Signatures",
        el(
          "table",
          { class: "signature" },
          el("caption", {}, caption),
          el("thead", {}, top, el("tr", {}, letters)),
          el("tbody", {}, rows),
        ),
      );
    }

    function draw() {
      const { signatures } = state.run;
      const phases = Object.keys(signatures.phases)
        .map(Number)
        .sort((a, b) => b - a);
      if (!phases.includes(state.phase)) state.phase = phases[0];
      if (!(state.whom in signatures.phases[state.phase])) state.whom = "";
      const opponents = Object.keys(signatures.phases[state.phase]).map((name) => [
        name,
        `each agent against ${signatures.opponents[name]}`,
      ]);
      const focused = [...controls.querySelectorAll("select")].indexOf(document.activeElement);
      controls.replaceChildren(
        ...[
          known.length > 1 &&
            pick(
              "Run",
              known.indexOf(state.run),
              { "": known.map(({ name }, i) => [i, name]) },
              (i) => ((state.run = known[i]), draw()),
            ),
          phases.length > 1 &&
            pick(
              "Agents after",
              state.phase,
              { "": phases.map((phase) => [phase, `phase ${phase}`]) },
              (phase) => ((state.phase = Number(phase)), draw()),
            ),
          pick(
            "Rows",
            state.whom,
            { "": [["", "whom they meet"], ...opponents] },
            (whom) => ((state.whom = whom), draw()),
          ),
        ].filter(Boolean),
      );
      if (focused >= 0) controls.querySelectorAll("select")[focused]?.focus();
      body.replaceChildren(table());
    }

    draw();
    const intro =
      "How often the agents cooperate at first, after each pair of moves of the round before (the agent’s own move first), and after a single defection or cooperation of the other. Early: the first fifth of the rounds. Late: the last two fifths.";
    return section("signatures", "Signatures", el("p", { class: "quiet" }, intro), controls, body);
  }

  function paperPart() {
    const known = runs.filter(({ table }) => table.rows.length);
    if (!known.length) return null;
    const full = ({ name, table: { headings, rows } }) => {
      const kept = headings.map((_, i) => i).filter((i) => rows.some((row) => row[i]));
      const line = (row) =>
        el(
          "tr",
          {},
          kept.map((i) => (i ? el("td", {}, row[i]) : el("th", { scope: "row" }, row[i]))),
        );
      const caption = el(
        "caption",
        {},
        several ? name : "Means over the last phases of training, and of evaluated play",
      );
      return wide(
        `Table of ${name}`,
        el(
          "table",
          { class: "numbers" },
          caption,
          head(kept.map((i) => (headings[i] === "n" ? "n" : capital(headings[i])))),
          el("tbody", {}, rows.map(line)),
        ),
      );
    };
    const intro = known.some(({ table }) => table.rows.some((row) => row[1]))
      ? "The paper’s values where some are published, beside this training’s. A verdict is the difference from the paper, or the seeds that keep a bound."
      : "No values of these quantities are published. A verdict says how many seeds keep a bound.";
    if (!several) return section("numbers", "The numbers", el("p", { class: "quiet" }, intro), full(runs[0]));
    const [label, paper, ours, spreadOf] = [0, 1, 2, 3];
    const names = [...new Set(known.flatMap(({ table }) => table.rows.map((row) => row[label])))];
    const rows = names.map((name) => {
      const found = runs.map(({ table }) => table.rows.find((row) => row[label] === name));
      const published = [
        ...new Set(
          found
            .filter(Boolean)
            .map((row) => row[paper])
            .filter(Boolean),
        ),
      ].join(" / ");
      const cells = found.map((row) =>
        el("td", {}, row ? row[ours] : "–", row?.[spreadOf] && el("small", {}, row[spreadOf])),
      );
      return el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, published || "–"), cells);
    });
    const caption = el("caption", {}, "Mean ± sample deviation, and the 95% interval of the mean");
    const together = el(
      "table",
      { class: "numbers beside" },
      caption,
      head(["Quantity", "Paper", ...runs.map(({ name }) => name)]),
      el("tbody", {}, rows),
    );
    const apart = later("The table of each run, with every seed", () => el("div", {}, known.map(full)));
    return section(
      "numbers",
      "The numbers",
      el("p", { class: "quiet" }, intro),
      wide("The numbers of all runs", together),
      apart,
    );
  }

  function settingsPart() {
    const body = el("div", { class: several ? "" : "groups" });
    const only = { differing: several, told: false };
    const key = (group, row) => `${group}\u0000${row[0]}`;
    const byRun = runs.map(
      (run) => new Map(run.settings.flatMap(({ title, rows }) => rows.map((row) => [key(title, row), row]))),
    );
    const groups = new Map();
    for (const run of runs)
      for (const { title, rows } of run.settings) {
        if (!groups.has(title)) groups.set(title, new Map());
        for (const row of rows)
          if (!groups.get(title).has(key(title, row))) groups.get(title).set(key(title, row), row);
      }

    const values = (at) => byRun.map((known) => known.get(at)?.[1] ?? "–");
    const differs = (at) => new Set(values(at)).size > 1;
    const changed = (at) => byRun.some((known) => (known.get(at)?.[2] ?? null) !== null);

    function draw() {
      const parts = [...groups].map(([title, rows]) => {
        const kept = [...rows].filter(([at]) => !only.differing || (several ? differs(at) : changed(at)));
        if (!kept.length) return null;
        const lines = kept.map(([at, row]) => {
          const unlike =
            several && !only.differing && differs(at) && el("small", { class: "unlike" }, "≠ differs between runs");
          const words = [
            el(
              "th",
              { scope: "row" },
              el("span", { class: "setting" }, row[0]),
              unlike,
              only.told && row[3] && el("small", {}, row[3]),
            ),
          ];
          const cells = byRun.map((known) => {
            const own = known.get(at);
            if (!own) return el("td", {}, "–");
            return el(
              "td",
              { class: own[2] === null ? "" : "changed" },
              own[1],
              own[2] !== null && el("small", {}, `changed; preset ${own[2]}`),
            );
          });
          return el("tr", {}, words, cells);
        });
        return [title, lines];
      });
      const found = parts.filter(Boolean);
      const none = several ? "All settings are the same." : "All settings are those of the preset.";
      const single = ([title, lines]) =>
        wide(
          `Settings: ${title}`,
          el(
            "table",
            { class: "numbers settings" },
            el("caption", {}, title),
            head(["Setting", "Value"]),
            el("tbody", {}, lines),
          ),
        );
      const columns = ["Setting", ...runs.map(({ name }) => name)];
      const group = ([title, lines]) =>
        el(
          "tbody",
          {},
          el("tr", {}, el("th", { scope: "rowgroup", colspan: columns.length, class: "group" }, title)),
          lines,
        );
      const together = () => [
        wide(
          "Settings of all runs",
          el(
            "table",
            { class: "numbers settings beside" },
            el("caption", { class: "unseen" }, "Settings"),
            head(columns),
            found.map(group),
          ),
        ),
      ];
      body.replaceChildren(...(found.length ? (several ? together() : found.map(single)) : [el("p", {}, none)]));
    }

    draw();
    const label = several ? "Only settings that differ between runs" : "Only settings changed from the preset";
    const boxes = [
      tick(label, only.differing, (on) => ((only.differing = on), draw())),
      tick("What each setting means", only.told, (on) => ((only.told = on), draw())),
    ];
    const intro = "Each setting is a flag of coplayer train. A value that is not the preset’s is marked as changed.";
    return section(
      "settings",
      "Settings",
      el("p", { class: "quiet" }, intro),
      el("div", { class: "tools" }, boxes),
      body,
    );
  }

  function madePart() {
    const words = [...new Set(runs.flatMap(({ made }) => made.map(([word]) => word)))];
    const rows = words.map((word) => {
      const cells = runs.map(({ made }) => el("td", {}, made.find(([own]) => own === word)?.[1] ?? "–"));
      return el("tr", {}, el("th", { scope: "row" }, capital(word)), cells);
    });
    const table = el(
      "table",
      { class: "numbers beside" },
      el("caption", {}, "Versions and machine"),
      several && head(["", ...runs.map(({ name }) => name)]),
      el("tbody", {}, rows),
    );
    const timed = runs.filter(({ state }) => state.by_phase.length);
    const phases = [...new Set(timed.flatMap(({ state }) => state.by_phase.map(([phase]) => phase)))].sort(
      (a, b) => a - b,
    );
    const seconds = ({ state }, phase) => show(state.by_phase.find(([own]) => own === phase)?.[1] ?? null, 1);
    const row = (phase) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, String(phase)),
        timed.map((run) => el("td", {}, seconds(run, phase))),
      );
    const times = () =>
      wide(
        "Seconds per phase",
        el(
          "table",
          { class: "numbers" },
          el("caption", {}, "Seconds per phase"),
          head(["Phase", ...timed.map(({ name }) => name)]),
          el("tbody", {}, phases.map(row)),
        ),
      );
    return section(
      "origin",
      "How it was made",
      wide("Versions and machine", table),
      phases.length > 0 && later("Seconds per phase", times),
    );
  }

  // ---- Start ----

  function build() {
    const name = several ? `${runs.length} runs side by side` : runs[0].name;
    byId("title").textContent = name;
    document.title = `${name}: report of training`;
    byId("lead").textContent = several ? `${runs.map((run) => run.name).join(", ")}.` : runs[0].trained.shows;
    const parts = [
      trainedPart(),
      trainingPart(),
      playedParts(),
      innerPart(),
      signaturePart(),
      paperPart(),
      settingsPart(),
      madePart(),
    ];
    byId("app").append(...parts.flat().filter(Boolean));
    const titles = [...byId("app").querySelectorAll("section > h2")];
    const links = titles.map((node) => el("a", { href: `#${node.id}` }, node.textContent));
    byId("app").prepend(el("nav", { class: "contents", "aria-label": "Parts of the page" }, links));
  }

  try {
    build();
  } catch (error) {
    Frame.damaged(error);
    return;
  }
  Frame.ready(data);
  const drawAll = () => live.forEach((draw) => draw());
  drawAll();
  Frame.onWidth(drawAll);
})();
