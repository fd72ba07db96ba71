// The page: a person walks the grid with an agent, two agents do, or episodes are looked at that agents played before.
"use strict";

(() => {
  const { apart, bar, brief, capital, choice, el, field, inside, lineChart, number, points, running, signed, wide } = Draw;
  const { announce, byId, forget } = Frame;
  const MOST_ROUNDS = 300;
  const MOST_EPISODES = 100;
  const STEP = 600; // milliseconds of a round that is watched
  const KEYS = { ArrowRight: 0, ArrowLeft: 1, ArrowUp: 2, ArrowDown: 3 };

  const data = Frame.load((given) => ({
    ...given,
    minds: given.players.map((about) => Grid.player(about, given.game)),
    replays: given.replays.map((replay) => ({ ...replay, rounds: Grid.recorded(replay) })),
    rules: Grid.rulesOf(given.game),
  }));
  if (!data) return;

  const { game, rules } = data;
  const app = byId("app");
  const cleanup = game.name === "cleanup-lite";
  const buttons = [
    [2, "Up", "↑", "ArrowUp"], // an action, its word, its sign, its key
    [1, "Left", "←", "ArrowLeft"],
    [3, "Down", "↓", "ArrowDown"],
    [0, "Right", "→", "ArrowRight"],
    ...(cleanup
      ? [
          [game.zap, "Zap", "Z", "Z"],
          [game.zap + 1, "Nothing", "space", "Space"],
        ]
      : []),
  ];
  const HOST = cleanup ? "grid-host" : "grid-host square";
  const wordOf = (action) => buttons.find(([one]) => one === action)[1].toLowerCase();
  const COUNTED = cleanup
    ? { cleaning: "patches cleaned", zapped: "times hit by a zap" }
    : { own_coins: "own coins", other_coins: "the other's coins" };
  const RULES = cleanup
    ? [
        "Stand on an apple to take it: 1 point. It is taken at the start of the next round, before anyone moves.",
        `Stand on dirt to clean it. With ${game.too_dirty} patches in the river no apple grows; the cleaner the river, the more grow. New dirt comes in about ${Math.round(100 * game.dirt_chance)} of 100 rounds.`,
        `A zap reaches ${game.zap_reach} cells, and hits ${Math.round(10 * game.zap_chance)} times in 10. Whoever is hit stands still for ${game.frozen_rounds} rounds.`,
        "Both choose at the same time, and see the whole grid.",
      ]
    : [
        `Walk onto the coin to take it: ${points(game.worth)} point, whatever its colour.`,
        `If the coin has the other one's letter, the other loses ${points(game.damage)}.`,
        `A new coin appears at once, ${game.colours === "random" ? "of either colour by chance" : "of the other colour than the last"}.`,
        "Whoever leaves the grid comes in at the other side. Both choose at the same time.",
      ];

  // ---- Settings, and what is under way ----

  const defaults = {
    mode: "play",
    met: 0, // by the person
    one: 0, // of two who are watched
    other: Math.min(1, data.players.length - 1),
    rounds: null, // null: as in the players' training
    episodes: null,
    replay: 0,
    thoughts: true,
    keys: true,
  };
  let settings = { ...defaults };
  let table = null; // the match under way, and what belongs to it
  let looking = null; // the viewer of a replay, where one is shown

  const hidden = () => !table.guessed;
  const calledBy = (side) => (side === null ? "You" : hidden() ? "The other" : data.players[side].name);
  const names = () => apart(table.sides.map(calledBy));
  const lettersOf = (names) => (names[0] === "You" ? ["Y", "A"] : ["1", "2"]);

  const pace = Frame.pacer(STEP, () => {
    play();
    return table.match.over;
  });

  /** As many rounds, and episodes in a row, as the players know from their training. */
  function suited() {
    const { one, other, met } = settings;
    const seated = { play: [met], watch: [one, other], guess: data.players.keys() }[settings.mode];
    const known = [...seated].map((i) => data.players[i]).filter(({ rounds }) => rounds !== null);
    return {
      known,
      rounds: settings.rounds ?? Math.min(...(known.length ? known.map(({ rounds }) => rounds) : [game.rounds])),
      episodes: settings.episodes ?? Math.max(1, ...known.map(({ episodes }) => episodes)),
    };
  }

  function begin(seed = Math.floor(Math.random() * 2 ** 48), moves = [], stopped = false) {
    leave();
    const watching = settings.mode === "watch";
    const pick = Mind.random(seed, 9)();
    const met = settings.mode === "guess" ? Math.floor(pick * data.players.length) : settings.met;
    const sides = watching ? [settings.one, settings.other] : [null, met];
    const { rounds, episodes } = suited();
    const lasting = sides.map((i) => i !== null && Boolean(data.players[i].lasting));
    const match = new Grid.Match(
      game,
      sides.map((i) => (i === null ? null : data.minds[i])),
      {
        rules,
        table: Grid.tableOf(rules, Mind.random(seed, 7)),
        chances: sides.map((_, k) => Mind.chanceOf(Mind.random(seed, k))),
        rounds,
        episodes: settings.mode !== "guess" && lasting.some(Boolean) ? episodes : 1, // more would tell who it is
        lasting,
      },
    );
    const guessed = settings.mode !== "guess";
    table = { match, sides, seed, watching, guessed, mind: 1, ending: null, open: false };
    match.choose();
    for (const move of moves) {
      match.play(move);
      match.choose();
    }
    match.stopped = stopped;
  }

  function remember() {
    const moves = table.match.played.map(({ actions }) => (table.watching ? null : actions[0]));
    Frame.remember({ settings, seed: table.seed, moves, stopped: table.match.stopped });
  }

  /** What was under way before a reload, as it was. */
  function recall() {
    const recalled = Frame.recall((kept) => {
      settings = { ...defaults, ...kept.settings };
      if (settings.mode === "replay") Mind.check(kept.at >= 0, "no such round");
      else begin(kept.seed, kept.moves, kept.stopped);
      if (settings.mode === "replay") look(kept.at, false);
      else show(false);
    });
    if (recalled) return;
    settings = { ...defaults };
    setup();
  }

  /** Nothing that was under way goes on, or is told. */
  function leave() {
    pace.pause();
    announce("");
    looking?.stop();
    looking = null;
    table = null;
  }

  // ---- Setting up ----

  const byKind = Draw.byKind(data.players);

  function replaysByPair() {
    const groups = {};
    data.replays.forEach(({ names, title }, i) => (groups[names.join(" and ")] ??= []).push([i, title]));
    return groups;
  }

  function fields() {
    const follows = [];
    const follow = () => follows.forEach((say) => say());
    const set = (key) => (value) => {
      settings[key] = Number(value);
      follow();
    };
    if (settings.mode === "replay")
      return [
        field("Episode", choice(settings.replay, replaysByPair(), set("replay"))),
        el("p", { class: "about" }, "These episodes were played when the page was made."),
      ];
    const player = (key, label) => {
      const about = el("p", { class: "about" });
      follows.push(() => (about.textContent = Draw.about(data.players[settings[key]])));
      return [field(label, choice(settings[key], byKind, set(key))), about];
    };
    const counts = { rounds: number(MOST_ROUNDS, set("rounds")), episodes: number(MOST_EPISODES, set("episodes")) };
    const rounds = field("Rounds", counts.rounds, " ");
    const episodes = field(
      "Episodes",
      counts.episodes,
      "So many in a row, each on a fresh grid. The agent remembers all of them. You can stop at any time.",
    );
    const keys = { play: ["met"], watch: ["one", "other"], guess: [] }[settings.mode];
    const everyone = data.players.map(({ name }) => name);
    follows.push(() => {
      const now = suited();
      for (const key of ["rounds", "episodes"]) counts[key].value = now[key];
      const trained = [...new Set(now.known.map((about) => about.rounds))].join(" and ");
      rounds.lastElementChild.textContent = trained ? `Trained in episodes of ${trained}.` : "";
      episodes.hidden = settings.mode === "guess" || !now.known.some(({ lasting }) => lasting);
    });
    const labels = { met: "You meet", one: "First player", other: "Second player" };
    const box = el("input", {
      type: "checkbox",
      checked: settings.keys,
      onchange: (event) => (settings.keys = event.target.checked),
    });
    const told = cleanup
      ? ["The arrow keys, ", el("kbd", {}, "Z"), " and ", el("kbd", {}, "space"), " play"]
      : ["The arrow keys play"];
    const parts = [
      keys.map((key) => player(key, labels[key])),
      settings.mode === "guess" &&
        el("p", { class: "about" }, `It will be one of ${everyone.length}: ${everyone.join(", ")}.`),
      rounds,
      episodes,
      settings.mode !== "watch" && el("label", { class: "tick" }, box, el("span", {}, told)),
    ];
    follow();
    return parts;
  }

  function howTo(names) {
    return [
      Board.legend(game, lettersOf(names), names),
      el(
        "ul",
        { class: "rules" },
        RULES.map((rule) => el("li", {}, rule)),
      ),
    ];
  }

  /** A grid to look at while one chooses. */
  function example() {
    const names = ["You", "The other"];
    const replay = data.replays[0];
    const busiest = (rounds) =>
      rounds.reduce((best, { scene }) => (variety(scene) > variety(best) ? scene : best), rounds[0].scene);
    const variety = ({ things, players }) =>
      Object.values(things).filter((cells) => cells.length).length * 4 +
      Object.values(things).flat().length +
      (players[0] !== players[1]);
    const scene = replay ? busiest(replay.rounds) : rules.scene(rules.reset(Mind.random(1, 1)));
    const label = `A grid as it may be. ${Board.tell(game, scene, names)}`;
    return el(
      "aside",
      { class: "example", "aria-label": "How the game goes" },
      Board.picture(game, scene, { letters: lettersOf(names), label }),
      howTo(names),
    );
  }

  function setup() {
    leave();
    document.body.classList.remove("playing");
    const modes = [
      ["play", "Play", "You know whom you meet."],
      ["guess", "Guess", "You meet somebody by chance, and say at the end who it was."],
      ["watch", "Watch", "Two players meet now, and you look on."],
      data.replays.length && ["replay", "Replay", "Episodes that agents played before, round by round."],
    ].filter(Boolean);
    const change = (mode) => {
      settings.mode = mode;
      setup();
      app.querySelector("input[name=mode]:checked").focus();
    };
    const start = (event) => {
      event.preventDefault();
      if (settings.mode === "replay") return look(0, true);
      begin();
      remember();
      show(true);
    };
    app.replaceChildren(
      el(
        "div",
        { class: "entrance" },
        el(
          "form",
          { class: "setup", onsubmit: start },
          Draw.cards("What would you like to do?", "mode", modes, settings.mode, change),
          el("div", { class: "fields" }, fields()),
          el(
            "button",
            { class: "primary", type: "submit", id: "begin" },
            settings.mode === "replay" ? "Look" : "Begin",
          ),
        ),
        example(),
      ),
    );
  }

  const away = () =>
    el("button", { id: "leave", onclick: () => (forget(), setup(), byId("begin").focus()) }, "Choose something else");

  // ---- A side, and its points ----

  function side(k, { name, letters, sum, count, note }) {
    return el(
      "div",
      { class: "side" },
      el("p", { class: "who" }, Board.alone(Board.token(k, letters[k])), el("span", {}, name)),
      el(
        "p",
        { class: "sum" },
        el("span", { class: "big" }, points(sum)),
        el("span", { class: "per" }, count ? `${signed(sum / count)} per round` : "points"),
      ),
      el("p", { class: "note" }, note),
    );
  }

  const noteOf = (scene, k) =>
    !scene.frozen[k]
      ? ""
      : scene.left
        ? `frozen for ${scene.left[k]} more ${scene.left[k] > 1 ? "rounds" : "round"}`
        : "frozen";

  // ---- A match ----

  const sceneNow = () => rules.scene(table.match.state);
  const totals = (k) => Mind.sum(table.match.played.map(({ rewards }) => rewards[k]));

  const saidOf = (round, names) =>
    `${[0, 1].map((k) => Board.deed(game, round, k, names).replace(/^a /, "A ")).join(". ")}.`;

  function play(action) {
    const { match } = table;
    if (match.over) return;
    const began = performance.now();
    const round = match.play(action);
    match.choose();
    remember();
    show(false, true);
    const at = ((match.played.length - 1) % match.rounds) + 1;
    const next = match.over
      ? " The match is over."
      : match.opens
        ? ` Episode ${round.episode + 2} begins, on a fresh grid.`
        : "";
    const sums = `Points: ${names()
      .map((name, k) => `${inside(name)} ${points(totals(k))}`)
      .join(", ")}.`;
    if (!pace.going() || match.over)
      announce(
        `Round ${at}: ${saidOf(round, names())} ${sums}${next} ${match.over ? "" : Board.tell(game, sceneNow(), names())}`,
      );
    document.body.dataset.milliseconds = (performance.now() - began).toFixed(1);
  }

  function watchOn() {
    pace.toggle();
    show(false);
    announce(pace.going() ? "The rounds go on by themselves." : `Paused. ${byId("title").textContent}.`);
  }

  function finish() {
    pace.pause();
    if (table.watching) while (!table.match.over) table.match.play();
    else table.match.stopped = true;
    remember();
    show(true);
    announce("The match is over.");
  }

  function controls() {
    const { match } = table;
    if (match.over) return null;
    if (table.watching)
      return Draw.watched({ play: () => play(), toggle: watchOn, end: finish, going: pace.going() });
    const button = ([action, word, sign, key]) =>
      el(
        "button",
        {
          class: `pad pad-${word.toLowerCase()}`,
          id: `move-${action}`,
          "aria-keyshortcuts": settings.keys ? key : null,
          onclick: (event) => {
            play(action);
            if (event.detail) byId("grid")?.focus({ preventScroll: true }); // by a pointer: then keys play on the grid
          },
        },
        el("span", { class: "pad-sign", "aria-hidden": "true" }, sign),
        el("span", { class: "pad-word" }, word),
      );
    return el("div", { class: "pads", role: "group", "aria-label": "Your move" }, buttons.map(button));
  }

  function show(focus, walked = false) {
    const { match } = table;
    document.body.classList.add("playing");
    const held = document.activeElement?.id;
    const count = match.played.length;
    const many = match.episodes > 1;
    const at = Math.min(count, match.total - 1);
    const episode = many ? `Episode ${Math.floor(at / match.rounds) + 1} of ${match.episodes}. ` : "";
    const title = match.over ? "The match is over" : `${episode}Round ${(at % match.rounds) + 1} of ${match.rounds}`;
    const last = match.played.at(-1) ?? null;
    const scene = match.over && last ? last.next : sceneNow();
    const shared = { letters: lettersOf(names()) };
    const past = walked && (match.over || !match.opens) ? last : null;
    const label = Board.tell(game, scene, names());
    const grid = el(
      "div",
      table.watching || match.over
        ? { class: HOST }
        : {
            class: HOST,
            id: "grid",
            tabindex: 0,
            role: "application",
            "aria-label": `The grid. ${cleanup ? "Arrow keys walk, Z zaps, space does nothing." : "Arrow keys walk."}`,
          },
      Board.picture(game, scene, { ...shared, label, past }),
    );
    const board = el(
      "section",
      { class: "board", "aria-label": "The match" },
      el("h2", { id: "title", tabindex: -1 }, title),
      el(
        "div",
        { class: "sides" },
        names().map((name, k) => side(k, { ...shared, name, sum: totals(k), count, note: noteOf(scene, k) })),
      ),
      grid,
      el(
        "p",
        { class: "said" },
        last && (match.over || !match.opens) ? saidOf(last, names()) : "A fresh grid. Nobody has moved.",
      ),
      controls(),
      !match.over &&
        el(
          "details",
          { open: table.open, ontoggle: (event) => (table.open = event.target.open) },
          el("summary", { id: "rules" }, "The rules"),
          howTo(names()),
        ),
    );
    const mind = settings.thoughts && !hidden() ? el("section", { class: "mind", "aria-label": "What it thinks" }) : null;
    const ended = match.over && !table.ending;
    if (ended) table.ending = el("div", { class: "ending" });
    app.replaceChildren(
      el("div", { class: mind ? "stage with-mind" : "stage" }, board, mind),
      ...(table.ending ? [table.ending] : []),
      el(
        "p",
        { class: "leave" },
        match.over &&
          !hidden() &&
          el(
            "button",
            { id: "again", class: "primary", onclick: () => (begin(), remember(), show(true)) },
            "Once more",
          ),
        !match.over && !table.watching && el("button", { id: "stop", onclick: finish }, "Stop here"),
        away(),
        !hidden() &&
          el("button", { id: "toggle", onclick: toggle }, mind ? "Hide what it thinks" : "Show what it thinks"),
      ),
    );
    if (mind) fillMind(mind);
    if (ended) fillEnd(table.ending);
    if (focus) {
      (byId("grid") ?? byId("title")).focus();
      window.scrollTo(0, 0);
    } else if (held) (byId(held) ?? byId("title")).focus({ preventScroll: true });
  }

  function toggle() {
    settings.thoughts = !settings.thoughts;
    remember();
    show(false);
  }

  // ---- What it thinks ----

  function fillMind(host) {
    const { match } = table;
    host.append(el("p", { class: "eyebrow" }, "What it thinks"));
    if (table.watching)
      host.append(
        field(
          "Whose mind",
          choice(table.mind, { "": names().map((name, k) => [k, name]) }, (value) => {
            table.mind = Number(value);
            show(false);
          }),
        ),
      );
    const k = table.mind;
    if (!match.played.length) {
      host.append(el("p", { class: "quiet" }, "Its thoughts are shown once you have both moved."));
      return;
    }
    const { thoughts, actions, scene } = match.played.at(-1);
    const { policy } = thoughts[k];
    const did = scene.frozen[k] ? "stood frozen" : `chose ${wordOf(actions[k])}`;
    const rows = buttons.map(([action, word, sign]) =>
      el(
        "tr",
        { class: action === actions[k] ? "taken" : "" },
        el(
          "th",
          { scope: "row" },
          el("span", { class: "act", "aria-hidden": "true" }, sign.length > 1 ? "·" : sign),
          ` ${word}`,
          action === actions[k] && el("span", { class: "unseen" }, " (chosen)"),
        ),
        el("td", {}, bar(policy[action], k ? "no" : "yes")),
      ),
    );
    const width = Math.max(260, host.clientWidth - 2 * parseFloat(getComputedStyle(host).paddingLeft) || 0);
    host.append(
      el("h3", {}, `Before the last round, in which it ${did}`),
      el("table", { class: "thought" }, el("caption", {}, "How likely each action was"), el("tbody", {}, rows)),
    );
    if (!Draw.trained(data.players[table.sides[k]])) {
      host.append(el("p", { class: "quiet" }, "It follows a rule, and rates no prospects."));
      return;
    }
    const values = match.played.map(({ thoughts }) => thoughts[k].value);
    const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
    host.append(
      el(
        "figure",
        { class: "prospects" },
        el(
          "figcaption",
          {},
          "How it rates its prospects: the reward that it expects from here on, in the units of its training",
        ),
        lineChart(width, {
          series: [{ name: "value", style: k ? "s2" : "s1", values }],
          low,
          high: high === low ? low + 1 : high,
          label: "How it rates its prospects, over the rounds",
          format: (value) => (value === null ? "–" : signed(value)),
          breaks: match.breaks(),
          height: 170,
        }),
      ),
    );
  }


  // ---- The end ----

  function fillEnd(host) {
    const { played, episodes, rounds } = table.match;
    if (!played.length) return;
    if (hidden()) {
      host.append(Draw.whoWasIt(byKind, reveal));
      return;
    }
    const called = names();
    const width = Math.max(280, Math.min(host.clientWidth, 1080));
    const half = width > 760 ? (width - 40) / 2 : width;
    const rewards = [0, 1].map((k) => played.map((round) => round.rewards[k]));
    const counted = (name, k, part = played) => part.filter(({ measures }) => measures[k][name]).length;
    const cells = called.map((name, k) => [
      name,
      points(Mind.sum(rewards[k])),
      signed(Mind.mean(rewards[k])),
      ...Object.keys(COUNTED).map((measure) => String(counted(measure, k))),
    ]);
    const sums = (values) => running(values).map((value, t) => value * (t + 1));
    const chart = (caption, values) => {
      const all = [0, ...values.flat()];
      const series = brief(called).map((name, k) => ({ name, style: k ? "s2" : "s1", values: values[k] }));
      const format = (value) => (value === null ? "–" : points(Math.round(value * 100) / 100));
      const scale = { low: Math.min(...all), high: Math.max(1, ...all) };
      const options = { series, ...scale, format, label: caption, breaks: table.match.breaks() };
      return el("figure", {}, el("figcaption", {}, caption), lineChart(half, options));
    };
    const first = Object.keys(COUNTED)[0];
    const tally = [0, 1].map((k) => sums(played.map(({ measures }) => Number(measures[k][first]))));
    host.append(el("hr"), el("h2", {}, "How it went"));
    if (table.verdict)
      host.append(
        el("p", { class: "verdict", id: "verdict" }, table.verdict),
        el("p", { class: "about" }, Draw.about(data.players[table.sides[1]])),
      );
    host.append(
      el(
        "section",
        { "aria-label": "Results" },
        scrolled(
          "numbers",
          "The match in numbers",
          ["player", "points", "per round", ...Object.values(COUNTED)],
          cells,
        ),
        el(
          "div",
          { class: "charts" },
          chart("Points so far", rewards.map(sums)),
          chart(`${capital(COUNTED[first])} so far`, tally),
        ),
        episodes > 1 && byEpisode(called, counted),
      ),
      again(called, rounds),
    );
  }

  function reveal(guessed) {
    Draw.disclose(table, data.players, guessed);
    show(true);
    announce(table.verdict);
  }

  /** How each side fared in each episode: whether one shaped the other. */
  function byEpisode(called, counted) {
    const { played, rounds } = table.match;
    const first = Object.keys(COUNTED)[0];
    const parts = Array.from({ length: Math.ceil(played.length / rounds) }, (_, i) =>
      played.slice(i * rounds, (i + 1) * rounds),
    );
    const rows = parts.map((part, i) => [
      String(i + 1),
      ...[0, 1].flatMap((k) => [
        points(Mind.sum(part.map((round) => round.rewards[k]))),
        String(counted(first, k, part)),
      ]),
    ]);
    const head = called.flatMap((name) => [`${name}: points`, `${name}: ${COUNTED[first]}`]);
    return scrolled("by-episode", "Episode by episode: who shapes whom?", ["episode", ...head], rows);
  }

  /** A table of numbers that scrolls sideways where it is too wide. */
  const scrolled = (id, caption, head, rows) => wide(caption, Draw.numbers(id, caption, head, rows));

  /** The match that is over, to be looked at once more. */
  function again(called, rounds) {
    const { played } = table.match;
    const host = el("div");
    const episodes = Array.from({ length: Math.ceil(played.length / rounds) }, (_, i) => [i, `episode ${i + 1}`]);
    const open = (i) => {
      looking?.stop();
      looking = viewer(played.slice(i * rounds, (i + 1) * rounds), called, 0);
      host.replaceChildren(looking.node);
    };
    open(0);
    return el(
      "section",
      { class: "again", "aria-label": "Once more, round by round" },
      el("h3", {}, "Once more, round by round"),
      episodes.length > 1 &&
        field(
          "Episode to look at",
          choice(0, { "": episodes }, (value) => open(Number(value))),
        ),
      host,
    );
  }

  // ---- Looking at an episode ----

  /** An episode with a slider, up to the grid after its last round. `moved(t)` is told of every round that is shown. */
  function viewer(rounds, called, start, moved = () => {}) {
    const letters = lettersOf(called);
    const end = rounds.length;
    let at = start;
    const pace = Frame.pacer(STEP, () => {
      if (!picture.isConnected || at === end) return rest(), true;
      go(at + 1);
      return false;
    });
    const picture = el("div", { class: HOST });
    const sides = el("div", { class: "sides" });
    const said = el("p", { class: "said", role: "status", "aria-live": "polite" });
    const title = el("p", { class: "round-title" });
    const slider = el("input", {
      type: "range",
      id: "slider",
      min: 1,
      max: end + 1,
      step: 1,
      "aria-label": "Round",
      oninput: () => (stop(), go(Number(slider.value) - 1)),
    });
    const button = (id, text, label, onclick) => el("button", { id, "aria-label": label, onclick }, text);
    const back = button("back", "‹", "One round back", () => (stop(), go(at - 1)));
    const on = button("on", "›", "One round on", () => (stop(), go(at + 1)));
    const run = el("button", { id: "play", class: "primary", onclick: toggle }, "Play");

    function stop() {
      pace.pause();
      rest();
    }

    function rest() {
      run.textContent = "Play";
      said.setAttribute("aria-live", "polite");
    }

    function toggle() {
      if (pace.going()) return stop();
      if (at === end) go(0);
      said.setAttribute("aria-live", "off"); // too fast to be read out
      run.textContent = "Pause";
      pace.toggle();
    }

    function go(to) {
      at = Math.min(end, Math.max(0, to));
      const after = at === rounds.length;
      const round = rounds[after ? at - 1 : at];
      const scene = after ? round.next : round.scene;
      const count = Math.min(at + 1, rounds.length);
      const sums = [0, 1].map((k) => Mind.sum(rounds.slice(0, count).map(({ rewards }) => rewards[k])));
      const text = saidOf(round, called);
      title.textContent = after ? `After round ${at}, the last` : `Round ${at + 1} of ${rounds.length}`;
      said.textContent = text;
      slider.value = at + 1;
      slider.setAttribute("aria-valuetext", after ? title.textContent : `Round ${at + 1}. ${text}`);
      back.disabled = at === 0;
      on.disabled = at === end;
      const label = Board.tell(game, scene, called);
      picture.replaceChildren(Board.picture(game, scene, { letters, label, [after ? "past" : "coming"]: round }));
      sides.replaceChildren(
        ...called.map((name, k) =>
          side(k, { name, letters, sum: sums[k], count, note: noteOf(scene, k) }),
        ),
      );
      moved(at);
    }

    const node = el(
      "div",
      { class: "viewer" },
      el("div", { class: "viewer-board" }, picture),
      el(
        "div",
        { class: "viewer-side" },
        title,
        sides,
        said,
        el("div", { class: "slide" }, back, slider, on),
        el("p", { class: "moves" }, run),
        el(
          "p",
          { class: "quiet keys" },
          "Arrows show what each is about to do. The arrow keys go from round to round, space plays and pauses.",
        ),
      ),
    );
    go(start);
    return { node, stop, step: (by) => (stop(), go(at + by)), toggle };
  }

  function look(at, focus) {
    leave();
    document.body.classList.add("playing");
    const replay = data.replays[settings.replay];
    const moved = (t) => Frame.remember({ settings, at: t });
    looking = viewer(replay.rounds, replay.names, at, moved);
    const others = choice(settings.replay, replaysByPair(), (value) => {
      settings.replay = Number(value);
      look(0, false);
      byId("field-episode").focus();
    });
    app.replaceChildren(
      el("h2", { id: "title", tabindex: -1 }, `${replay.names.join(" and ")}: ${replay.title}`),
      el("div", { class: "fields" }, field("Episode", others)),
      looking.node,
      el("details", {}, el("summary", {}, "The rules"), howTo(replay.names)),
      el("p", { class: "leave" }, away()),
    );
    if (focus) {
      byId("title").focus();
      window.scrollTo(0, 0);
    }
  }

  // ---- Keys ----

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const at = event.target;
    if (at.matches?.("input, select, textarea")) return;
    if (event.key === " " && at.matches?.("button, summary, a")) return; // it presses what has the focus
    const walking = table && !table.watching && !table.match.over;
    if (walking && (settings.keys || at.id === "grid")) {
      const action =
        KEYS[event.key] ?? (cleanup ? { z: game.zap, Z: game.zap, " ": game.zap + 1 }[event.key] : undefined);
      if (action === undefined) return;
      event.preventDefault();
      if (!event.repeat) play(action);
    } else if (looking && (!table || at.closest?.(".viewer"))) {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by && event.key !== " ") return;
      event.preventDefault();
      if (by) looking.step(by);
      else looking.toggle();
    }
  });

  // ---- Start ----

  Frame.ready(data);
  recall();

  Frame.onWidth(() => {
    if (!table) return;
    table.ending = null;
    show(false);
  });
})();
