// The grid of a game as a picture, and in words. Who is who, and what lies where, is told by form and letter, not by
// colour alone.
"use strict";

const Board = (() => {
  const { el, inside, svg } = Draw;
  const CELL = 84;
  const NAMES = 26; // the height of the names of columns, above the grid
  const ROUND = 24; // half the width of a player
  const middle = (place) => (place + 0.5) * CELL;

  // ---- Forms, each about the point 0, 0 ----

  /** A player: the first is a disc, the second a diamond, with a letter. */
  function token(k, letter, frozen = false) {
    const form =
      k === 0
        ? svg("circle", { r: ROUND })
        : svg("path", { d: `M0 ${-ROUND - 5}L${ROUND + 5} 0L0 ${ROUND + 5}L${-ROUND - 5} 0Z` });
    const crystal = [0, 60, 120].map((turn) =>
      svg("path", { d: "M-13 0H13M-9 -4L-13 0L-9 4M9 -4L13 0L9 4", transform: `translate(24 -22) rotate(${turn})` }),
    );
    return svg(
      "g",
      { class: `token side-${k}${frozen ? " frozen" : ""}` },
      form,
      svg("text", { y: 7, "text-anchor": "middle" }, letter),
      frozen && svg("g", { class: "crystal" }, svg("circle", { cx: 24, cy: -22, r: 17 }), crystal),
    );
  }

  function apple() {
    return svg(
      "g",
      { class: "apple" },
      svg("path", {
        class: "skin",
        d: "M0 -9C-5 -14 -18 -13 -18 1C-18 12 -9 19 -4 18C-1 17 1 17 4 18C9 19 18 12 18 1C18 -13 5 -14 0 -9Z",
      }),
      svg("path", { class: "stem", d: "M0 -9C0 -14 1 -17 4 -20" }),
      svg("path", { class: "leaf", d: "M3 -14C7 -22 15 -21 17 -20C16 -14 9 -11 3 -14Z" }),
    );
  }

  function dirt() {
    const specks = [
      [-10, -2],
      [2, 5],
      [9, -6],
      [-3, -9],
      [-6, 9],
      [12, 6],
    ];
    return svg(
      "g",
      { class: "dirt" },
      svg("path", {
        d: "M-22 4C-26 -6 -16 -10 -13 -15C-8 -22 2 -15 8 -17C17 -20 18 -9 22 -4C27 3 21 12 13 13C6 14 4 20 -5 18C-13 17 -19 13 -22 4Z",
      }),
      specks.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.2 })),
    );
  }

  /** A coin of player k. */
  function coin(k, letter) {
    return svg(
      "g",
      { class: `coin side-${k}` },
      svg("circle", { r: 20 }),
      k === 0 ? svg("circle", { r: 13, class: "mark" }) : svg("path", { d: "M0 -15L15 0L0 15L-15 0Z", class: "mark" }),
      svg("text", { y: 5, "text-anchor": "middle" }, letter),
    );
  }

  const THINGS = {
    apple: () => apple(),
    dirt: () => dirt(),
    "own coin": (letters) => coin(0, letters[0]),
    "other coin": (letters) => coin(1, letters[1]),
  };

  /** A thing of the legend. */
  const alone = (thing) =>
    svg("svg", { viewBox: "-34 -36 68 68", width: 34, height: 34, class: "alone", "aria-hidden": "true" }, thing);

  // ---- The picture ----

  const place = (game, cell) => [cell % game.columns, Math.floor(cell / game.columns)];

  function moved(x, y, node, scale = 1) {
    node.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    return node;
  }

  function ground(game) {
    const [width, height] = [game.columns * CELL, game.rows * CELL];
    const cleanup = game.name === "cleanup-lite";
    const waves = Array.from({ length: game.rows * 3 }, (_, i) => {
      const [x, y] = [width - CELL, (i + 0.5) * (CELL / 3)];
      return svg("path", { class: "wave", d: `M${x + 8} ${y}q8.5 -7 17 0t17 0t17 0t17 0` });
    });
    const blades = Array.from({ length: game.rows * 2 }, (_, i) =>
      svg("path", { class: "blade", d: `M${i % 2 ? 62 : 14} ${(i + 0.8) * (CELL / 2)}q-2 -8 -5 -10m5 10q0 -9 3 -13` }),
    );
    const lines = [
      ...Array.from({ length: game.columns - 1 }, (_, i) => `M${(i + 1) * CELL} 0V${height}`),
      ...Array.from({ length: game.rows - 1 }, (_, i) => `M0 ${(i + 1) * CELL}H${width}`),
    ];
    return [
      svg("rect", { class: "meadow", width, height }),
      cleanup && svg("rect", { class: "orchard", width: CELL, height }),
      cleanup && svg("rect", { class: "river", x: width - CELL, width: CELL, height }),
      cleanup && [waves, blades],
      svg("path", { class: "lines", d: lines.join("") }),
      cleanup && svg("text", { class: "column", x: CELL / 2, y: -9, "text-anchor": "middle" }, "orchard"),
      cleanup && svg("text", { class: "column", x: width - CELL / 2, y: -9, "text-anchor": "middle" }, "river"),
      svg("rect", { class: "frame", width, height, rx: 3 }),
    ];
  }

  /** Where the players are drawn: side by side, if they are in one cell. */
  function spots(game, { players }) {
    const together = players[0] === players[1];
    return players.map((cell, k) => {
      const [column, row] = place(game, cell);
      return [middle(column) + (together ? (k ? 19 : -19) : 0), middle(row) + (together ? (k ? 12 : -12) : 0)];
    });
  }

  const stepOf = (action) => Grid.STEPS[action] ?? null;

  /** A zap of player k: a bolt to the other if it hits, else a spark towards the middle of the grid. */
  function bolt(game, at, k, hits) {
    const inwards = [game.columns, game.rows].map((count, i) => (at[k][i] < (count * CELL) / 2 ? 1 : -1));
    const [x, y] = hits ? at[k] : at[k].map((value, i) => value + 20 * inwards[i]);
    const [u, v] = hits ? at[1 - k] : at[k].map((value, i) => value + 46 * inwards[i]);
    const points = Array.from({ length: 7 }, (_, i) => {
      const [along, aside] = [i / 6, i === 0 || i === 6 ? 0 : i % 2 ? 9 : -9];
      const length = Math.hypot(u - x, v - y) || 1;
      return `${x + (u - x) * along - ((v - y) / length) * aside} ${y + (v - y) * along + ((u - x) / length) * aside}`;
    });
    return svg("polyline", { class: `bolt side-${k}`, points: points.join(",") });
  }

  /** Before a round: an arrow in the direction in which a player is about to go. */
  function arrow(at, k, action) {
    const step = stepOf(action);
    if (!step) return null;
    const turn = (Math.atan2(step[1], step[0]) * 180) / Math.PI;
    return svg("path", {
      class: `arrow side-${k}`,
      d: "M33 -8L42 0L33 8",
      transform: `translate(${at[0]} ${at[1]}) rotate(${turn})`,
    });
  }

  /**
   * The grid. `letters`: of both players. `coming`: the round that is about to be played, shown by arrows. `past`: the
   * round that led here, shown by the tails of the players.
   */
  function picture(game, scene, { letters, label, coming = null, past = null }) {
    const [width, height] = [game.columns * CELL, game.rows * CELL];
    const at = spots(game, scene);
    const things = Object.entries(scene.things).flatMap(([kind, cells]) =>
      cells.map((cell) => {
        const [column, row] = place(game, cell);
        const beside = scene.players.includes(cell) ? 22 : 0; // whoever stands there is seen too
        return moved(middle(column) + beside, middle(row) + beside, THINGS[kind](letters), beside ? 0.8 : 1);
      }),
    );
    const above = game.name === "cleanup-lite" ? NAMES : 3;
    const shown = coming ?? past;
    const bolts = shown
      ? [0, 1].map((k) => (zaps(game, shown, k) ? bolt(game, at, k, shown.measures[1 - k].zapped) : null))
      : [];
    const tokens = [0, 1].map((k) => {
      const inner = token(k, letters[k], scene.frozen[k]);
      const node = moved(...at[k], svg("g", {}, inner));
      const step = past && past.scene.players[k] !== scene.players[k] ? stepOf(past.actions[k]) : null;
      if (!step) return node;
      inner.classList.add("arrives");
      inner.style.setProperty("--back-x", `${-step[0] * CELL}px`);
      inner.style.setProperty("--back-y", `${-step[1] * CELL}px`);
      const tail = svg("path", { class: `tail side-${k}`, d: `M${-step[0] * 62} ${-step[1] * 62}L0 0` });
      node.prepend(tail);
      return node;
    });
    const arrows = coming ? [0, 1].map((k) => (scene.frozen[k] ? null : arrow(at[k], k, coming.actions[k]))) : [];
    return svg(
      "svg",
      {
        class: "board-picture",
        viewBox: `-3 ${-above} ${width + 6} ${height + above + 3}`,
        role: "img",
        "aria-label": label,
      },
      ground(game),
      things,
      arrows,
      tokens.reverse(),
      bolts,
    );
  }

  const zaps = (game, { actions, scene }, k) => actions[k] === game.zap && !scene.frozen[k];

  // ---- In words ----

  const listed = (parts) =>
    parts.length > 1 ? `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}` : parts.join("");

  const ownerOf = (name) => (name === "You" ? "yours" : inside(name));

  /** What player k did in a round. */
  function deed(game, round, k, names) {
    const { scene, actions, rewards, measures } = round;
    if (scene.frozen[k]) return `${names[k]} stood still, frozen`;
    const other = inside(names[1 - k]);
    const gains = [];
    if (game.name === "cleanup-lite" && rewards[k] > 0) gains.push("took an apple");
    if (measures[k].cleaning) gains.push("cleaned a patch of the river");
    if (measures[k].own_coins) gains.push(names[k] === "You" ? "took a coin of yours" : "took a coin of its own");
    if (measures[k].other_coins) gains.push(`took a coin of ${ownerOf(names[1 - k])}`);
    const action = actions[k];
    const act =
      action < Grid.MOVES.length
        ? `went ${Grid.MOVES[action]}`
        : action !== game.zap
          ? "did nothing"
          : measures[1 - k].zapped
            ? `zapped ${other}`
            : "zapped in vain";
    const hit = names[k] === "You" ? "were hit" : "was hit";
    const acts = measures[k].zapped ? (action === game.zap ? [act, hit] : [hit]) : [act];
    return `${names[k]} ${listed(game.name === "coin" ? [...acts, ...gains] : [...gains, ...acts])}`;
  }

  /** Where everything is. */
  function tell(game, scene, names) {
    const at = (cell) => {
      const [column, row] = place(game, cell);
      return `column ${column + 1}, row ${row + 1}`;
    };
    const who = scene.players.map((cell, k) => `${names[k]}: ${at(cell)}${scene.frozen[k] ? ", frozen" : ""}.`);
    const rows = (cells) => {
      const found = cells.map((cell) => String(place(game, cell)[1] + 1)).sort();
      return `${found.length > 1 ? "rows" : "row"} ${listed(found)}`;
    };
    const { apple: apples = [], dirt: patches = [] } = scene.things;
    const coins = ["own coin", "other coin"].flatMap((kind, k) =>
      (scene.things[kind] ?? []).map((cell) => `A coin of ${ownerOf(names[k])}: ${at(cell)}.`),
    );
    const land =
      game.name === "coin"
        ? coins
        : [
            apples.length ? `Apples in the orchard, column 1: ${rows(apples)}.` : "No apple in the orchard, column 1.",
            patches.length
              ? `Dirt in the river, column ${game.columns}: ${rows(patches)}.`
              : `No dirt in the river, column ${game.columns}.`,
          ];
    return [...who, ...land].join(" ");
  }

  /** What the forms mean. */
  function legend(game, letters, names) {
    const entry = (thing, text) => el("li", {}, alone(thing), el("span", {}, text));
    const players = [0, 1].map((k) => entry(token(k, letters[k]), names[k]));
    const things =
      game.name === "coin"
        ? [0, 1].map((k) => entry(coin(k, letters[k]), `a coin of ${ownerOf(names[k])}`))
        : [
            entry(apple(), "an apple, 1 point"),
            entry(dirt(), "a patch of dirt"),
            entry(token(1, letters[1], true), "frozen"),
          ];
    return el("ul", { class: "legend" }, players, things);
  }

  return { alone, deed, legend, picture, tell, token };
})();
