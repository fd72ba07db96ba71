// The page: a match against a player, or between two, and what they think.
"use strict";

(() => {
  const {
    apart,
    bar,
    brief,
    capital,
    choice,
    columns,
    el,
    fan,
    field,
    inside,
    lineChart,
    number,
    points,
    running,
    share,
    signed,
    svg,
    trained,
    wide,
  } = Draw;
  const { announce, byId, forget } = Frame;
  const MOST_ROUNDS = 300;
  const MOST_EPISODES = 100;
  const SHOWN_ROUNDS = 30; // of a match, unless more are asked for
  const SLICE = 25; // milliseconds of work between two looks at the page
  const MATCHES = { fixed: 40, trained: 4 }; // of each pair in the table at the end
  const STEP = 700; // milliseconds of a round that is watched

  // ---- What the page is given ----

  const data = Frame.load((given) => ({
    ...given,
    minds: given.players.map((about) => Mind.player(about, given.game)),
  }));
  if (!data) return;

  const game = data.game;
  const n = game.actions;
  const words = Array.from({ length: n }, (_, a) =>
    n > 2 ? `action ${a + 1}` : a === game.cooperation ? "cooperate" : "defect",
  );
  const letters = words.map((word, a) => (n > 2 ? String(a + 1) : word[0].toUpperCase()));
  const pairs = Array.from({ length: n * n }, (_, joint) => letters[Math.floor(joint / n)] + letters[joint % n]);
  const did = (action) =>
    n > 2 ? `took action ${action + 1}` : action === game.cooperation ? "cooperated" : "defected";

  /** A sign for an action, told by its form: a full circle cooperates, an empty diamond defects, else a number. */
  function sign(action, size = 24) {
    const box = {
      viewBox: "0 0 24 24",
      width: size,
      height: size,
      class: `sign ${action === game.cooperation ? "yes" : "no"}`,
    };
    const label = { "aria-hidden": "true", ...box };
    if (n > 2) {
      const text = svg("text", { x: 12, y: 16.5, "text-anchor": "middle" }, letters[action]);
      return svg("svg", label, svg("rect", { x: 2, y: 2, width: 20, height: 20, rx: 5 }), text);
    }
    if (action === game.cooperation) return svg("svg", label, svg("circle", { cx: 12, cy: 12, r: 8.5 }));
    return svg("svg", label, svg("path", { d: "M12 3 21 12 12 21 3 12Z" }));
  }

  // ---- Settings and the match under way ----

  const defaults = {
    mode: "play",
    met: 0, // by the person
    one: 0, // of two who are watched
    other: Math.min(1, data.players.length - 1),
    rounds: null, // null: as suits the players
    episodes: null,
    thoughts: "after",
    letters: true,
  };
  let settings = { ...defaults };
  let table = null; // the match under way, and what belongs to it
  let meeting = 0; // the table at the end that is being worked out

  const app = byId("app");

  /** Seats of the two sides: a player who has one seat takes it. */
  function seatsOf(one, other) {
    const fixed = [one, other].map((i) => (i === null ? null : data.players[i].seat));
    if (fixed[0] !== null) return [fixed[0], 1 - fixed[0]];
    return fixed[1] !== null ? [1 - fixed[1], fixed[1]] : [0, 1];
  }

  const sidesOf = (met) => (settings.mode === "watch" ? [settings.one, settings.other] : [null, met]);

  /** As many rounds, and episodes in a row, as the players know from their training. */
  function suited() {
    const players = { play: [settings.met], watch: [settings.one, settings.other], guess: [] }[settings.mode];
    const known = players.map((i) => data.players[i]).filter(({ rounds }) => rounds !== null);
    const rounds = known.map((about) => (about.lasting ? about.rounds : Math.min(about.rounds, SHOWN_ROUNDS)));
    return {
      known,
      rounds: settings.rounds ?? Math.min(SHOWN_ROUNDS, ...rounds),
      episodes: settings.episodes ?? Math.max(1, ...known.map(({ episodes }) => episodes)),
    };
  }

  /** Whether the two who would be watched have different seats. */
  function canMeet() {
    const [one, other] = [settings.one, settings.other].map((i) => data.players[i].seat);
    return one === null || one !== other;
  }

  function begin(seed = Math.floor(Math.random() * 2 ** 48), moves = []) {
    stop();
    const watching = settings.mode === "watch";
    const pick = Mind.random(seed, 9)();
    const met = settings.mode === "guess" ? Math.floor(pick * data.players.length) : settings.met;
    const sides = sidesOf(met);
    const { rounds, episodes } = suited();
    const lasting = sides.map((i) => i !== null && Boolean(data.players[i].lasting));
    const match = new Mind.Match(
      game,
      sides.map((i) => (i === null ? null : data.minds[i])),
      {
        seats: seatsOf(...sides),
        chances: sides.map((_, k) => Mind.chanceOf(Mind.random(seed, k))),
        rounds,
        episodes: settings.mode !== "guess" && lasting.some(Boolean) ? episodes : 1, // more would tell who it is
        lasting,
      },
    );
    for (const move of moves) match.play(move);
    table = {
      match,
      sides,
      seed,
      watching,
      chosen: null,
      mind: 1,
      guessed: settings.mode !== "guess",
      ending: null,
      worth: null,
      open: window.innerWidth > 900, // what a round pays
    };
    match.choose();
  }

  const hidden = () => !table.guessed;
  const calledBy = (side) => (side === null ? "You" : hidden() ? "The other" : data.players[side].name);
  const nameOf = (k) => apart(table.sides.map(calledBy))[k];

  function remember() {
    const moves = table.match.played.map(({ actions }) => (table.watching ? null : actions[0]));
    Frame.remember({ settings, seed: table.seed, moves });
  }

  /** The match that was under way before a reload, played again to where it was. */
  function recall() {
    const recalled = Frame.recall((kept) => {
      settings = { ...defaults, ...kept.settings };
      begin(kept.seed, kept.moves);
    });
    if (recalled) return true;
    settings = { ...defaults };
    table = null;
    return false;
  }

  // ---- Setting up ----

  const describe = (i) => Draw.about(data.players[i]);
  const aboutPlayer = (i) => el("p", { class: "about" }, describe(i));
  const byKind = Draw.byKind(data.players);

  /** The fields of a mode, each of which changes a setting in place. */
  function fields() {
    const { mode } = settings;
    const follows = []; // what is to be said anew after a change
    const follow = () => follows.forEach((say) => say());
    const set =
      (key, numeric = true) =>
      (value) => {
        settings[key] = numeric ? Number(value) : value;
        follow();
      };
    const player = (key, label) => {
      const about = el("p", { class: "about" });
      follows.push(() => (about.textContent = describe(settings[key])));
      return [field(label, choice(settings[key], byKind, set(key))), about];
    };
    const players = { play: ["met"], watch: ["one", "other"], guess: [] }[mode];
    const names = { met: "You meet", one: "First player", other: "Second player" };
    const counts = {
      rounds: number(MOST_ROUNDS, set("rounds")),
      episodes: number(MOST_EPISODES, set("episodes")),
    };
    const rounds = field("Rounds", counts.rounds, " ");
    const episodes = field(
      "Episodes",
      counts.episodes,
      "So many in a row. A player who shapes others remembers all of them.",
    );
    follows.push(() => {
      const now = suited();
      for (const key of ["rounds", "episodes"]) counts[key].value = now[key];
      const trained = [...new Set(now.known.map((about) => about.rounds))].join(" and ");
      rounds.lastElementChild.textContent = trained ? `Trained in episodes of ${trained}.` : "";
    });
    const payoffs = el("div");
    const apart = el("p", { class: "about", role: "alert" });
    follows.push(() => (episodes.hidden = !players.some((key) => data.players[settings[key]].lasting)));
    follows.push(() =>
      payoffs.replaceChildren(
        ...(mode === "guess" && !game.symmetric ? [] : [payoffTable(seatsOf(...sidesOf(settings.met)))]),
      ),
    );
    follows.push(
      () =>
        (apart.textContent = mode === "watch" && !canMeet() ? "These two have the same seat, and cannot meet." : ""),
    );
    const when = [
      ["after", "after each round"],
      ["before", "before each round, its move included"],
      ["never", "not at all"],
    ];
    const parts = [
      players.map((key) => player(key, names[key])),
      mode === "watch" && apart,
      mode === "guess" &&
        el(
          "p",
          { class: "about" },
          `It will be one of ${data.players.length}: ${data.players.map(({ name }) => name).join(", ")}.`,
        ),
      rounds,
      episodes,
      mode === "play" && field("Show what it thinks", choice(settings.thoughts, { "": when }, set("thoughts", false))),
      mode !== "watch" && keysField(),
    ];
    follow();
    return [parts, payoffs];
  }

  function keysField() {
    const box = el("input", {
      type: "checkbox",
      checked: settings.letters,
      onchange: (event) => (settings.letters = event.target.checked),
    });
    const text = el(
      "span",
      {},
      "Single keys play, such as ",
      el("kbd", {}, letters[0]),
      " and ",
      el("kbd", {}, letters[1]),
    );
    return el("label", { class: "tick" }, box, text);
  }

  function setup() {
    stop();
    table = null;
    document.body.classList.remove("playing");
    const modes = [
      ["play", "Play", "You know whom you meet."],
      ["guess", "Guess", "You meet somebody by chance, and say at the end who it was."],
      ["watch", "Watch", "Two players meet, and you look on."],
    ];
    const change = (mode) => {
      settings.mode = mode;
      setup();
      app.querySelector("input[name=mode]:checked").focus();
    };
    const start = (event) => {
      event.preventDefault();
      if (settings.mode === "watch" && !canMeet()) return;
      begin();
      remember();
      show(true);
    };
    const [parts, payoffs] = fields();
    const form = el(
      "form",
      { class: "setup", onsubmit: start },
      Draw.cards("What would you like to do?", "mode", modes, settings.mode, change),
      el("div", { class: "fields" }, parts),
      el("button", { class: "primary", type: "submit", id: "begin" }, "Begin"),
      payoffs,
    );
    app.replaceChildren(form);
  }

  function payoffTable(seats) {
    const [own, other] = seats.map((seat) => game.payoffs[seat]);
    const watching = settings.mode === "watch";
    const [first, second] = watching ? ["the first", "the second"] : ["you", "the other"];
    return el(
      "table",
      { class: "payoffs" },
      el("caption", {}, `What a round pays: ${first}, then ${second}`),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("td"),
          words.map((word, a) => el("th", { scope: "col" }, sign(a, 16), ` ${second}: ${word}`)),
        ),
      ),
      el(
        "tbody",
        {},
        words.map((word, a) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, sign(a, 16), ` ${first}: ${word}`),
            words.map((_, b) => el("td", {}, `${points(own[a * n + b])}, ${points(other[b * n + a])}`)),
          ),
        ),
      ),
    );
  }

  const styleOf = (action) => (action === game.cooperation ? "yes" : "no");

  // ---- A match ----

  const pace = Frame.pacer(STEP, () => {
    play();
    return table.match.over;
  });

  /** Leave a match: nothing of it is worked out any more, or told. */
  function stop() {
    pace.pause();
    meeting++;
    announce("");
  }

  function play(action) {
    const { match } = table;
    if (match.over) return;
    const began = performance.now();
    const round = match.play(action);
    table.chosen = null;
    match.choose();
    remember();
    show(false);
    const [one, other] = round.actions;
    const [first, second] = [nameOf(0), inside(nameOf(1))];
    const told = `Round ${match.played.length}: ${first} ${did(one)}, ${second} ${did(other)}. ${first} ${points(round.rewards[0])}, ${second} ${points(round.rewards[1])}.`;
    const next = match.over
      ? " The match is over."
      : match.played.length % match.rounds === 0
        ? ` Episode ${round.episode + 2} begins.`
        : "";
    if (!pace.going() || match.over) announce(told + next);
    document.body.dataset.milliseconds = (performance.now() - began).toFixed(1);
  }

  function watchOn() {
    pace.toggle();
    show(false);
    announce(pace.going() ? "The rounds go on by themselves." : `Paused. ${byId("title").textContent}.`);
  }

  function toTheEnd() {
    pace.pause();
    while (!table.match.over) table.match.play();
    remember();
    show(true);
    announce("The match is over.");
  }

  const totals = (k) => Mind.sum(table.match.played.map(({ rewards }) => rewards[k]));

  function side(k) {
    const last = table.match.played.at(-1);
    const count = table.match.played.length;
    return el(
      "div",
      { class: "side" },
      el("p", { class: "who" }, nameOf(k)),
      el(
        "p",
        { class: "last" },
        last
          ? [sign(last.actions[k], 72), el("span", { class: "word" }, did(last.actions[k]))]
          : [el("span", { class: "wait", "aria-hidden": "true" }), el("span", { class: "word" }, "has not moved")],
      ),
      el(
        "p",
        { class: "sum" },
        el("span", { class: "big" }, points(totals(k))),
        el("span", { class: "per" }, count ? ` ${signed(totals(k) / count)} per round` : " points"),
      ),
    );
  }

  function buttons() {
    const { match } = table;
    if (match.over) return null;
    if (table.watching)
      return Draw.watched({ play: () => play(), toggle: watchOn, end: toTheEnd, going: pace.going() });
    return el(
      "div",
      { class: "moves", role: "group", "aria-label": "Your move" },
      words.map((word, a) =>
        el(
          "button",
          {
            class: "move",
            id: `move-${a}`,
            "aria-keyshortcuts": settings.letters ? letters[a] : null,
            onclick: () => play(a),
          },
          sign(a, 28),
          el("span", {}, capital(word)),
          settings.letters && a < 9 ? el("kbd", { "aria-hidden": "true" }, letters[a]) : null,
        ),
      ),
    );
  }

  /** The rounds so far; each is a button that shows what was thought before it. */
  function history() {
    const { match } = table;
    const at = chosenRound();
    const reached = Math.min(at ?? 0, match.played.length - 1); // by the tab key
    const rounds = match.played.map(({ actions, rewards, episode }, t) => {
      const opens = match.episodes > 1 && t % match.rounds === 0;
      const label = `Round ${t + 1}: ${nameOf(0)} ${did(actions[0])}, ${inside(nameOf(1))} ${did(actions[1])}; ${points(rewards[0])} and ${points(rewards[1])}`;
      const pick = () => {
        table.chosen = t;
        show(false);
        byId(`round-${t}`).focus();
      };
      return el(
        "li",
        { class: opens ? "opens" : "" },
        opens && el("span", { class: "episode" }, `episode ${episode + 1}`),
        el(
          "button",
          {
            id: `round-${t}`,
            "aria-label": label,
            "aria-current": t === at ? "true" : null,
            tabindex: t === reached ? 0 : -1,
            onclick: pick,
          },
          sign(actions[0], 18),
          sign(actions[1], 18),
          el("span", { class: "count", "aria-hidden": "true" }, String(t + 1)),
        ),
      );
    });
    const move = (event) => {
      const to = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const t = Number((event.target.id ?? "").replace("round-", ""));
      if (to && t + to >= 0 && t + to < match.played.length) {
        event.preventDefault();
        byId(`round-${t + to}`).click();
      }
    };
    return el(
      "section",
      {
        class: "history",
        "aria-label": `Rounds so far, ${inside(nameOf(0))} above, ${inside(nameOf(1))} below; the arrow keys go from round to round`,
      },
      el("ol", { onkeydown: move }, rounds),
    );
  }

  function show(focus) {
    const { match } = table;
    document.body.classList.add("playing");
    const held = document.activeElement?.id;
    const round = Math.min(match.played.length + 1, match.total);
    const episode =
      match.episodes > 1
        ? `Episode ${Math.min(Math.floor(match.played.length / match.rounds) + 1, match.episodes)} of ${match.episodes}. `
        : "";
    const title = match.over
      ? "The match is over"
      : `${episode}Round ${match.episodes > 1 ? ((round - 1) % match.rounds) + 1 : round} of ${match.rounds}`;
    const board = el(
      "section",
      { class: "board", "aria-label": "The match" },
      el("h2", { id: "title", tabindex: -1 }, title),
      el("div", { class: "sides" }, side(0), side(1)),
      buttons(),
      history(),
      !match.over &&
        el(
          "details",
          { open: table.open, ontoggle: (event) => (table.open = event.target.open) },
          el("summary", { id: "pays" }, "What a round pays"),
          payoffTable(match.seats),
        ),
    );
    const shown = (table.watching || settings.thoughts !== "never") && !hidden();
    const mind = shown ? el("section", { class: "mind", "aria-label": "What it thinks" }) : null;
    const ended = match.over && !table.ending;
    if (ended) table.ending = el("div", { class: "ending" });
    const leave = el(
      "p",
      { class: "leave" },
      match.over &&
        !hidden() &&
        el("button", { id: "again", class: "primary", onclick: () => (begin(), remember(), show(true)) }, "Once more"),
      el("button", { id: "leave", onclick: () => (forget(), setup(), byId("begin").focus()) }, "Choose another match"),
      !table.watching &&
        !hidden() &&
        el("button", { id: "toggle", onclick: toggle }, shown ? "Hide what it thinks" : "Show what it thinks"),
    );
    app.replaceChildren(
      el("div", { class: shown ? "stage with-mind" : "stage" }, board, mind),
      ...(table.ending ? [table.ending] : []),
      leave,
    );
    if (mind) fillMind(mind);
    if (ended) fillEnd(table.ending);
    const rounds = app.querySelector(".history ol");
    const current = rounds.querySelector("[aria-current]") ?? rounds.lastElementChild;
    if (current) rounds.scrollLeft = current.closest("li").offsetLeft - rounds.clientWidth / 2;
    if (focus) byId("title").focus();
    else if (held) (byId(held) ?? byId("title")).focus({ preventScroll: true });
  }

  function toggle() {
    settings.thoughts = settings.thoughts === "never" ? "after" : "never";
    remember();
    show(false);
  }

  document.addEventListener("keydown", (event) => {
    if (
      !table ||
      table.watching ||
      table.match.over ||
      !settings.letters ||
      event.ctrlKey ||
      event.altKey ||
      event.metaKey ||
      event.repeat
    )
      return;
    if (event.target.matches?.("input, select, textarea")) return;
    const action = letters.indexOf(event.key.toUpperCase());
    if (action < 0) return;
    event.preventDefault();
    play(action);
  });

  // ---- What it thinks ----

  /** The round whose thoughts are shown; null: there is none yet. */
  function chosenRound() {
    const { match } = table;
    if (table.chosen !== null) return table.chosen;
    const ahead = !match.over && (table.watching || settings.thoughts === "before");
    return ahead ? match.played.length : match.played.length ? match.played.length - 1 : null;
  }

  function thoughtOf(t, k) {
    const { match } = table;
    return (t < match.played.length ? match.played[t] : match.choose()).thoughts[k];
  }

  const expected = (t, k) => {
    const thought = thoughtOf(t, k);
    if (typeof thought.expectations === "function") thought.expectations = thought.expectations();
    return thought.expectations;
  };

  const you = () => (table.watching ? nameOf(1 - table.mind) : "you");

  function fillMind(host) {
    const at = chosenRound();
    host.append(el("p", { class: "eyebrow" }, "What it thinks"));
    if (table.watching)
      host.append(
        field(
          "Whose mind",
          choice(
            table.mind,
            { "": [0, 1].map((k) => [k, nameOf(k)]) },
            (value) => ((table.mind = Number(value)), show(false)),
          ),
        ),
      );
    const k = table.mind;
    if (at === null) {
      host.append(el("p", { class: "quiet" }, "Its thoughts are shown once you have both moved."));
      return;
    }
    const ahead = at >= table.match.played.length;
    const thought = thoughtOf(at, k);
    const width = Math.max(260, host.clientWidth - parseFloat(getComputedStyle(host).paddingLeft) * 2 || 0);
    host.append(
      el(
        "h3",
        {},
        ahead
          ? `Before round ${at + 1}, which is to come`
          : `Before round ${at + 1}, in which it ${did(table.match.played[at].actions[k])}`,
      ),
    );
    if (thought.replies) host.append(beliefOf(thought), planOf(thought, width));
    else
      host.append(
        el(
          "p",
          { class: "quiet" },
          trained(data.players[table.sides[k]])
            ? "It learned by trial alone. It has no picture of the other, only a habit that answers the rounds so far."
            : "It follows a rule, and thinks nothing.",
        ),
      );
    host.append(moveOf(thought));
    if (thought.value !== undefined)
      host.append(
        el(
          "p",
          { class: "quiet" },
          `It values its prospects at ${signed(thought.value)}, in the units of its training.`,
        ),
      );
    if (thought.replies && n === 2) host.append(kindOf(at, k, width));
  }

  function beliefOf(thought) {
    const rows = thought.replies.map((row, own) => {
      const normal = row.map((p) => p / Mind.sum(row));
      const value = n > 2 ? null : normal[game.cooperation];
      const cells =
        n > 2
          ? normal.map((p, a) => el("span", { class: "pair" }, sign(a, 16), bar(p, styleOf(a))))
          : bar(value, "yes");
      return el("tr", {}, el("th", { scope: "row" }, sign(own, 18), ` If it would ${words[own]}`), el("td", {}, cells));
    });
    const heading = n > 2 ? `What it believes ${you()} will do` : `What it believes: ${you()} will cooperate`;
    return el("table", { class: "thought" }, el("caption", {}, heading), el("tbody", {}, rows));
  }

  function planOf(thought, width) {
    const ends = thought.futures
      .flat()
      .map((rewards) => rewards.reduce((all, reward) => [...all, all.at(-1) + reward], [0]))
      .flat();
    const [low, high] = [Math.floor(Math.min(...ends)), Math.ceil(Math.max(...ends))];
    const best = thought.q.indexOf(Math.max(...thought.q));
    const each = n > 2 ? width : (width - 16) / 2;
    return el(
      "figure",
      { class: "plan" },
      el("figcaption", {}, "What it imagines: the sum of its rewards, if its next move is"),
      el(
        "div",
        { class: n > 2 ? "fans tall" : "fans" },
        thought.futures.map((futures, a) =>
          el(
            "div",
            { class: "fan" },
            el("p", {}, sign(a, 18), ` ${words[a]}`),
            el("p", {}, el("strong", {}, `Q = ${signed(thought.q[a])}`), a === best ? ", the best" : ""),
            fan(each, futures, { low, high, style: styleOf(a), word: words[a] }),
          ),
        ),
      ),
    );
  }

  function moveOf(thought) {
    const rows = thought.policy.map((p, a) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, sign(a, 18), ` ${capital(words[a])}`),
        thought.prior && el("td", {}, bar(thought.prior[a], styleOf(a))),
        el("td", {}, bar(p, styleOf(a))),
      ),
    );
    const head = thought.prior
      ? el(
          "thead",
          {},
          el("tr", {}, el("td"), el("th", { scope: "col" }, "prior"), el("th", { scope: "col" }, "improved")),
        )
      : null;
    return el(
      "table",
      { class: "thought" },
      el(
        "caption",
        {},
        thought.prior ? "What it will do: by habit (prior), and after planning (improved)" : "What it will do",
      ),
      head,
      el("tbody", {}, rows),
    );
  }

  function kindOf(at, k, width) {
    const rounds = Array.from({ length: at + 1 }, (_, t) => expected(t, k));
    const styles = ["s1", "s2", "s3", "s4"];
    const series = pairs.map((pair, joint) => ({
      name: pair,
      style: styles[joint],
      values: rounds.map((row) => row[joint]),
    }));
    const parts = [
      el(
        "figcaption",
        {},
        `Whom it takes ${you()} for: the cooperation that it expects after each pair of moves, ${table.watching ? "the other's" : "yours"} first`,
      ),
      lineChart(width, {
        series,
        low: 0,
        high: 1,
        label: "Cooperation that it expects after each pair of moves, over the rounds",
        breaks: table.match.breaks(rounds.length),
      }),
    ];
    const near = Mind.nearest(rounds.at(-1), data.kinds);
    if (near.length) {
      const path = rounds.map((row) => Mind.nearest(row, data.kinds)[0].name);
      const turns = path.map((name, t) => [name, t]).filter(([name, t]) => t === 0 || name !== path[t - 1]);
      parts.push(
        el(
          "p",
          { class: "verdict" },
          "Nearest to ",
          el("strong", {}, near[0].name),
          ` (distance ${share(near[0].distance)}), then ${near[1].name} (${share(near[1].distance)}).`,
        ),
      );
      if (turns.length > 1)
        parts.push(
          el(
            "details",
            {},
            el("summary", {}, `Its belief has moved ${turns.length - 1} times`),
            el(
              "ol",
              { class: "turns" },
              turns.map(([name, t]) => el("li", {}, `from round ${t + 1}: ${name}`)),
            ),
          ),
        );
    }
    return el("figure", { class: "kind" }, parts);
  }

  // ---- The end ----

  function fillEnd(host) {
    if (hidden()) {
      host.append(Draw.whoWasIt(byKind, reveal));
      return;
    }
    const width = Math.max(280, Math.min(host.clientWidth, 1080));
    host.append(el("hr"), el("h2", {}, "How it went"));
    if (table.verdict)
      host.append(el("p", { class: "verdict", id: "verdict" }, table.verdict), aboutPlayer(table.sides[1]));
    host.append(resultsOf(width), signatureOf(), (table.worth ??= worthOf()));
  }

  function reveal(guessed) {
    Draw.disclose(table, data.players, guessed);
    show(true);
    announce(table.verdict);
  }

  function resultsOf(width) {
    const { played, episodes } = table.match;
    const half = width > 760 ? (width - 40) / 2 : width;
    const breaks = table.match.breaks();
    const rewards = [0, 1].map((k) => played.map((round) => round.rewards[k]));
    const moves = [0, 1].map((k) => played.map((round) => (round.actions[k] === game.cooperation ? 1 : 0)));
    const sums = rewards.map((row) => running(row).map((value, t) => value * (t + 1)));
    const all = [0, ...sums.flat()];
    const called = brief([nameOf(0), nameOf(1)]);
    const lines = (values) => called.map((name, k) => ({ name, style: k ? "s2" : "s1", values: values[k] }));
    const cells = (k) => [
      nameOf(k),
      points(Mind.sum(rewards[k])),
      signed(Mind.mean(rewards[k])),
      share(Mind.mean(moves[k])),
    ];
    const parts = [
      Draw.numbers(
        "numbers",
        "The match in numbers",
        ["player", "points", "per round", "cooperation"],
        [cells(0), cells(1)],
      ),
      el(
        "div",
        { class: "charts" },
        el(
          "figure",
          {},
          el("figcaption", {}, "Points so far"),
          lineChart(half, {
            series: lines(sums),
            low: Math.min(...all),
            high: Math.max(...all),
            format: (value) => (value === null ? "–" : points(Math.round(value * 100) / 100)),
            label: "Points so far",
            breaks,
          }),
        ),
        el(
          "figure",
          {},
          el("figcaption", {}, "Cooperation so far, as a share of the rounds"),
          lineChart(half, { series: lines(moves.map(running)), low: 0, high: 1, label: "Cooperation so far", breaks }),
        ),
      ),
    ];
    if (episodes > 1) parts.push(byEpisode(rewards, moves));
    return el("section", { "aria-label": "Results" }, parts);
  }

  /** How each side fared in each episode: whether one shaped the other. */
  function byEpisode(rewards, moves) {
    const { episodes, rounds } = table.match;
    const part = (values, i) => Mind.mean(values.slice(i * rounds, (i + 1) * rounds));
    const rows = Array.from({ length: episodes }, (_, i) => [
      String(i + 1),
      ...[0, 1].flatMap((k) => [signed(part(rewards[k], i)), share(part(moves[k], i))]),
    ]);
    const head = [0, 1].flatMap((k) => [`${nameOf(k)}: per round`, `${nameOf(k)}: cooperation`]);
    return wide(
      "Episode by episode",
      Draw.numbers(null, "Episode by episode: who shapes whom?", ["episode", ...head], rows),
    );
  }

  function signatureOf() {
    const found = [0, 1].map((k) => Mind.signature(table.match.played, k, game));
    const part = el(
      "section",
      { class: "signature", "aria-label": "Signature" },
      el("h3", {}, table.watching ? "Signatures" : "Your signature"),
    );
    part.append(
      el("p", { class: "quiet" }, "How often a player cooperates after each pair of moves, its own move first."),
    );
    const row = (k) => [
      el("th", { scope: "row" }, nameOf(k)),
      found[k].map(({ rate, count }) => el("td", {}, share(rate), el("small", {}, count ? ` of ${count}` : " never"))),
    ];
    part.append(
      wide(
        "Signatures in numbers",
        el(
          "table",
          { class: "numbers", id: "signature" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("th", { scope: "col" }, "player"),
              pairs.map((pair) => el("th", { scope: "col" }, `after ${pair}`)),
            ),
          ),
          el(
            "tbody",
            {},
            [0, 1].map((k) => el("tr", {}, row(k))),
          ),
        ),
      ),
    );
    for (const k of table.watching ? [0, 1] : [0]) {
      const rates = found[k].map(({ rate }) => rate);
      const near = Mind.nearest(rates, data.kinds);
      if (near.length) part.append(ladder(k, rates, near));
    }
    return part;
  }

  /** A signature among the named kinds, nearest first. */
  function ladder(k, rates, near) {
    const rows = [{ name: nameOf(k), probabilities: rates, distance: 0, own: true }, ...near];
    return el(
      "div",
      { class: "ladder" },
      el(
        "p",
        { class: "verdict" },
        table.watching ? `${nameOf(k)} is` : "You are",
        " nearest to ",
        el("strong", {}, near[0].name),
        `, at a distance of ${share(near[0].distance)}.`,
      ),
      el(
        "ol",
        {},
        rows.map(({ name, probabilities, distance, own }) =>
          el(
            "li",
            { class: own ? "own" : "" },
            el("span", { class: "ladder-name" }, name),
            columns(probabilities, pairs, own),
            el("span", { class: "number" }, own ? "" : share(distance)),
          ),
        ),
      ),
    );
  }

  // ---- Who would have earned how much against whom ----

  /** All who meet in the table: the person, imitated by a memory-1 player of the person's signature, and everybody. */
  function guests() {
    const found = data.players.map((about, i) => ({
      name: about.name,
      mind: data.minds[i],
      seat: about.seat,
      lasting: Boolean(about.lasting),
      slow: trained(about),
    }));
    if (table.watching) return found;
    const seat = game.symmetric ? null : table.match.seats[0];
    const mind = Mind.imitation(table.match.played, 0, game);
    return [{ name: "You, imitated", mind, seat, lasting: false, slow: false, own: true }, ...found];
  }

  /** Matches of a pair, a round at a time; gives the mean rewards per round of both. */
  function* meet(one, other, seed) {
    const totals = [0, 0];
    const { rounds } = table.match;
    const lasting = [one.lasting, other.lasting];
    const episodes = lasting.some(Boolean) ? table.match.episodes : 1;
    const matches = one.slow || other.slow ? MATCHES.trained : MATCHES.fixed;
    const seats =
      one.seat !== null ? [one.seat, 1 - one.seat] : other.seat !== null ? [1 - other.seat, other.seat] : [0, 1];
    for (let i = 0; i < matches; i++) {
      const chances = [0, 1].map((k) => Mind.chanceOf(Mind.random(seed, 100 + 2 * i + k)));
      const match = new Mind.Match(game, [one.mind, other.mind], { seats, chances, rounds, episodes, lasting });
      while (!match.over) {
        const { rewards } = match.play();
        rewards.forEach((reward, k) => (totals[k] += reward / (match.total * matches)));
        yield null;
      }
    }
    yield totals;
  }

  function worthOf() {
    const all = guests();
    const cells = all.map(() => all.map(() => el("td", {}, "…")));
    const means = all.map(() => el("td", { class: "mean" }, "…"));
    const rows = all.map(({ name, own }, i) =>
      el("tr", { class: own ? "own" : "" }, el("th", { scope: "row" }, name), means[i], cells[i]),
    );
    const body = el("tbody", {}, rows);
    const progress = el("p", { class: "quiet", id: "worth-progress" }, "Everybody meets everybody…");
    const head = el(
      "tr",
      {},
      el("th", { scope: "col" }, "earns"),
      el("th", { scope: "col" }, "in the mean"),
      all.map(({ name }) => el("th", { scope: "col" }, name)),
    );
    workOut(all, cells, means, rows, body, progress);
    return el(
      "section",
      { "aria-label": "Who would have earned how much against whom" },
      el("h3", {}, "Who would have earned how much against whom"),
      el(
        "p",
        { class: "quiet" },
        `Rewards per round of the player of the row against the player of the column, in episodes of ${table.match.rounds} rounds` +
          (table.match.episodes > 1 ? `. Who remembers earlier episodes plays ${table.match.episodes} in a row.` : "."),
      ),
      progress,
      wide(
        "Rewards of every pair",
        el("table", { class: "numbers worth", id: "worth" }, el("thead", {}, head), body),
      ),
    );
  }

  function workOut(all, cells, means, rows, body, progress) {
    const mine = ++meeting;
    const values = all.map(() => all.map(() => null));
    const waiting = all.flatMap((one, i) => all.map((_, j) => [i, j]).filter(([, j]) => i <= j));
    const allowed = waiting.filter(([i, j]) => all[i].seat === null || all[i].seat !== all[j].seat);
    allowed.sort(([a, b], [c, d]) => (all[a].slow || all[b].slow) - (all[c].slow || all[d].slow));
    let pair = null;
    let done = 0;
    const put = (i, j, value) => {
      values[i][j] = value;
      cells[i][j].textContent = signed(value);
    };
    const step = () => {
      if (mine !== meeting || !table) return;
      const began = performance.now();
      while (performance.now() - began < SLICE) {
        if (done === allowed.length) return finish();
        const [i, j] = allowed[done];
        pair ??= meet(all[i], all[j], 1 + table.seed + 7919 * done);
        const { value } = pair.next();
        if (!value) continue;
        put(i, j, i === j ? Mind.mean(value) : value[0]);
        if (i !== j) put(j, i, value[1]);
        pair = null;
        done++;
      }
      progress.textContent = `${done} of ${allowed.length} pairs have met.`;
      setTimeout(step);
    };
    const finish = () => {
      const scores = values.map((row) => Mind.mean(row.filter((value) => value !== null)));
      values.forEach((row, i) => row.forEach((value, j) => value === null && (cells[i][j].textContent = "–")));
      scores.forEach((score, i) => (means[i].textContent = signed(score)));
      body.append(
        ...rows
          .map((row, i) => [row, scores[i]])
          .sort((one, other) => other[1] - one[1])
          .map(([row]) => row),
      );
      progress.textContent = `Each pair with a trained player met ${MATCHES.trained} times, every other pair ${MATCHES.fixed} times. Best first.`;
    };
    setTimeout(step);
  }

  // ---- Start ----

  Frame.ready(data);
  if (n > 2)
    byId("lead").textContent += ` Each has ${n} actions; action ${game.cooperation + 1} counts as cooperation.`;
  if (recall()) show(false);
  else setup();

  Frame.onWidth(() => {
    if (!table) return;
    table.ending = null;
    show(false);
  });
})();
