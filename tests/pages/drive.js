// Runs the scripts of a page's players in node, without a browser: `node drive.js PAGE < tasks > answers`, both JSON.
"use strict";

const fs = require("fs");
const vm = require("vm");

const page = fs.readFileSync(process.argv[2], "utf8");
const scripts = [...page.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map((found) => found[1]);
const data = JSON.parse(scripts[0]);
const onGrid = data.replays !== undefined;
const { Mind, Grid } = vm.runInNewContext(
  `${scripts[1]}\n${onGrid ? scripts[2] : "const Grid = null;"}\n({ Mind, Grid })`,
  { atob },
);

/** Random numbers that were drawn before: one {plan, move} a round. */
function given(rounds) {
  let round = 0;
  return { plan: (step) => rounds[round].plan[step], move: () => rounds[round++].move };
}

const TASKS = {
  match({ players, rounds, episodes, chances, seats }) {
    const entries = players.map((i) => data.players[i]);
    const match = new Mind.Match(
      data.game,
      entries.map((entry) => Mind.player(entry, data.game)),
      { rounds, episodes, seats, chances: chances.map(given), lasting: entries.map((entry) => Boolean(entry.lasting)) },
    );
    while (!match.over) match.play();
    return match.played.map(({ actions, rewards, thoughts }) => ({
      actions,
      rewards,
      thoughts: thoughts.map((thought) => ({
        ...thought,
        expectations: thought.expectations && thought.expectations(),
      })),
    }));
  },
  /** Rounds one by one, from states that are given: {state, actions, draws}. */
  advance({ rounds }) {
    const rules = Grid.rulesOf(data.game);
    return rounds.map(({ state, actions, draws }) => {
      const [after, rewards] = rules.advance(state, actions, draws);
      return {
        after,
        rewards,
        seen: [0, 1].map((k) => [...rules.observe(after, k)]),
        measures: [0, 1].map((k) => rules.measure(state, after, k)),
        scene: rules.scene(after),
      };
    });
  },
  /** What a simple strategy does in the first seat, in states that are given: the probabilities of its actions. */
  policies({ strategy, rounds }) {
    const rules = Grid.rulesOf(data.game);
    const walker = Grid.player({ kind: "walker", strategy }, data.game);
    const act = (state) => walker.act(null, rules.observe(state, 0), 0, { move: () => 0.5 })[2].policy;
    return rounds.map(({ state }) => [...act(state)]);
  },
  /** A match on a grid: `opens` are the states before the episodes, `draws` what is random in each round. */
  walk({ players, rounds, episodes, chances, opens, draws }) {
    const rules = Grid.rulesOf(data.game);
    const entries = players.map((i) => data.players[i]);
    const match = new Grid.Match(
      data.game,
      entries.map((entry) => Grid.player(entry, data.game)),
      {
        rules,
        table: { open: () => opens.shift(), draw: () => draws.shift() },
        chances: chances.map((row) => ({ move: () => row.shift() })),
        rounds,
        episodes,
        lasting: entries.map((entry) => Boolean(entry.lasting)),
      },
    );
    while (!match.over) match.play();
    return match.played;
  },
  resets({ seed, count }) {
    const rules = Grid.rulesOf(data.game);
    const table = Grid.tableOf(rules, Mind.random(seed, 0));
    return Array.from({ length: count }, () => ({ state: table.open(), draws: table.draw() }));
  },
  recorded: () => data.replays.map(Grid.recorded),
  signature: ({ played, player }) => Mind.signature(played, player, data.game),
  imitation({ played, player, observations }) {
    const imitated = Mind.imitation(played, player, data.game);
    return observations.map((observation) => imitated.act(null, observation, 0, { move: () => 0.5 })[2].policy);
  },
  nearest: ({ rates }) => Mind.nearest(rates, data.kinds),
  random({ seed, stream, count }) {
    const next = Mind.random(seed, stream);
    return Array.from({ length: count }, next);
  },
  time({ player, rounds }) {
    const match = new Mind.Match(data.game, [null, Mind.player(data.players[player], data.game)], {
      rounds,
      chances: [null, Mind.chanceOf(Mind.random(1, 2))],
    });
    for (let t = 0; t < rounds / 2; t++) match.play(t % 2); // so that the code is compiled
    let fastest = Infinity; // whatever else the machine does
    for (let t = 0; t < rounds / 2; t++) {
      const began = performance.now();
      match.play(t % 2);
      fastest = Math.min(fastest, performance.now() - began);
    }
    return fastest;
  },
};

const tasks = JSON.parse(fs.readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(tasks.map((task) => TASKS[task.task](task))));
