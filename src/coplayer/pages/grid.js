// The rules of games on a grid, and matches in them: those of coplayer.games.cleanup and coplayer.games.coin, with the
// same outcomes from the same random numbers. Nothing here knows of a page, so that tests can run it by itself.
"use strict";

const Grid = (() => {
  const { check } = Mind;
  const STEPS = [
    [1, 0],
    [-1, 0],
    [0, -1],
    [0, 1],
  ]; // column and row, by move; the row 0 is the upper one
  const MOVES = ["right", "left", "up", "down"];
  const single = Math.fround; // JAX compares in single precision
  const FINEST = 2 ** 23; // JAX draws multiples of 1 / 2^23

  const NOTHING = MOVES.length + 1; // an action of CleanUp-lite, after the zap

  const range = (count) => Array.from({ length: count }, (_, i) => i);
  const within = (value, count) => Math.min(count - 1, Math.max(0, value));

  /** One of the free places, by a number in [0, 1); null: no place is free. `free`: by place. */
  function oneOf(free, place) {
    const open = range(free.length).filter((i) => free[i]);
    return open[Math.floor(single(place * open.length))] ?? null;
  }

  /** A row of zeros with ones at these places. */
  function ones(size, places) {
    const row = new Float64Array(size);
    for (const place of places) row[place] = 1;
    return row;
  }

  const placesOf = (flags) => range(flags.length).filter((i) => flags[i]);

  // ---- Simple strategies (coplayer.players.walker): the probabilities of the actions, from what a player sees ----

  const surely = (action, count) => ones(count, [action]);
  const atRandom = (count) => new Float64Array(count).fill(1 / count);

  /** The action that goes so many columns and rows; `NOTHING` where there is no way to go. */
  function towards([columns, rows]) {
    if (columns) return columns > 0 ? 0 : 1;
    if (rows) return rows > 0 ? 3 : 2;
    return NOTHING;
  }

  // ---- CleanUp-lite: {positions, frozen, apples, dirt, cleaned} ----

  function cleanup(rules) {
    const { columns, rows, zap } = rules;
    const river = columns - 1; // the orchard is column 0
    const cellOf = ([column, row]) => row * columns + column;
    const inColumn = (flags, column) => placesOf(flags).map((row) => cellOf([column, row]));

    /** Goes to the nearest thing of a kind but the one in its own cell; where there is none, to the column `home`. */
    const seek = (kind, home) => (seen) => {
      const cells = columns * rows;
      const placeOf = (cell) => [cell % columns, Math.floor(cell / columns)];
      const own = seen.indexOf(1);
      const wayTo = ([column, row]) => [column - placeOf(own)[0], row - placeOf(own)[1]];
      const ways = range(cells)
        .filter((cell) => cell !== own && seen[2 * cells + 3 * cell + kind])
        .map((cell) => wayTo(placeOf(cell)));
      const far = ([right, down]) => Math.abs(right) + Math.abs(down);
      const nearest = (best, way) => (far(way) < far(best) ? way : best);
      return surely(towards(ways.length ? ways.reduce(nearest) : wayTo([home, placeOf(own)[1]])), rules.actions);
    };

    return {
      draws: 6,
      strategies: { random: () => atRandom(rules.actions), greedy: seek(0, 0), cleaner: seek(1, river) },
      reset(uniform) {
        const positions = [0, 1].map(() => [Math.floor(uniform() * columns), Math.floor(uniform() * rows)]);
        const dirt = new Array(rows).fill(false);
        while (placesOf(dirt).length < rules.first_dirt)
          dirt[
            oneOf(
              dirt.map((there) => !there),
              uniform(),
            )
          ] = true;
        const nowhere = new Array(rows).fill(false);
        return { positions, frozen: [0, 0], apples: nowhere, dirt, cleaned: [false, false] };
      },
      advance(before, actions, [dirtDraw, dirtPlace, appleDraw, applePlace, ...zapDraws]) {
        const [dirt, apples] = [before.dirt.slice(), before.apples.slice()];
        const grow = (flags, happens, place) => {
          const row = oneOf(
            flags.map((there) => !there),
            place,
          );
          if (happens && row !== null) flags[row] = true;
        };
        grow(dirt, dirtDraw < single(rules.dirt_chance), dirtPlace);
        const filth = single(placesOf(dirt).length / rules.too_dirty);
        grow(apples, appleDraw < single(1 - Math.min(1, filth)), applePlace);

        const free = before.frozen.map((left) => left === 0);
        const stands = (k, column, flags) =>
          free[k] && before.positions[k][0] === column && flags[before.positions[k][1]];
        const harvests = [0, 1].map((k) => stands(k, 0, apples));
        const cleaned = [0, 1].map((k) => stands(k, river, dirt));
        for (const k of [0, 1]) {
          if (harvests[k]) apples[before.positions[k][1]] = false;
          if (cleaned[k]) dirt[before.positions[k][1]] = false;
        }

        const [one, other] = before.positions;
        const near = Math.abs(one[0] - other[0]) + Math.abs(one[1] - other[1]) <= rules.zap_reach;
        const hits = [0, 1].map(
          (k) => near && free[0] && free[1] && actions[k] === zap && zapDraws[k] < single(rules.zap_chance),
        );
        const zapped = [hits[1], hits[0]];
        const positions = before.positions.map(([column, row], k) => {
          const [right, down] = (free[k] && !zapped[k] && STEPS[actions[k]]) || [0, 0];
          return [within(column + right, columns), within(row + down, rows)];
        });
        const frozen = before.frozen.map((left, k) => (zapped[k] ? rules.frozen_rounds : Math.max(0, left - 1)));
        return [{ positions, frozen, apples, dirt, cleaned }, harvests.map(Number)];
      },
      observe(state, k) {
        const cells = columns * rows;
        const things = { apple: new Set(inColumn(state.apples, 0)), dirt: new Set(inColumn(state.dirt, river)) };
        const grid = range(cells).flatMap((cell) => {
          const [apple, dirt] = [things.apple.has(cell), things.dirt.has(cell)];
          return [apple, dirt, !(apple || dirt)];
        });
        const order = [k, 1 - k];
        return Float64Array.from([
          ...order.flatMap((i) => [...ones(cells, [cellOf(state.positions[i])])]),
          ...grid.map(Number),
          ...order.map((i) => Number(state.frozen[i] > 0)),
        ]);
      },
      measure: (before, after, k) => ({ cleaning: after.cleaned[k], zapped: after.frozen[k] === rules.frozen_rounds }),
      scene: (state) => ({
        players: state.positions.map(cellOf),
        frozen: state.frozen.map((left) => left > 0),
        left: state.frozen,
        things: { apple: inColumn(state.apples, 0), dirt: inColumn(state.dirt, river) },
      }),
    };
  }

  // ---- The coin game: {positions, coin, colour} ----

  function coin(rules) {
    const size = rules.columns;
    const cellOf = ([column, row]) => row * size + column;
    const placeOf = (cell) => [cell % size, Math.floor(cell / size)];

    /** A cell where no player is, by a number in [0, 1). */
    function drop(positions, place) {
      const taken = positions.map(cellOf);
      return placeOf(
        oneOf(
          range(size * size).map((cell) => !taken.includes(cell)),
          place,
        ),
      );
    }

    /** Columns and rows to the coin, the shorter way around; of two ways as long, to the right or down. */
    function wayToTheCoin(seen) {
      const own = placeOf(seen.indexOf(1));
      const back = Math.floor((size - 1) / 2);
      return placeOf(seen.indexOf(1, 2 * size * size) % (size * size)).map(
        (place, i) => ((place - own[i] + back + size) % size) - back,
      );
    }

    const takeAny = (seen) => surely(towards(wayToTheCoin(seen)), rules.actions);

    function takeOwn(seen) {
      if (seen.indexOf(1, 2 * size * size) < 3 * size * size) return takeAny(seen);
      const way = wayToTheCoin(seen);
      const spares = placesOf(STEPS.map((step) => step.some((by, i) => (way[i] - by) % size !== 0)));
      return ones(rules.actions, spares).map((spared) => spared / spares.length);
    }

    return {
      draws: 2,
      strategies: { random: () => atRandom(rules.actions), greedy: takeAny, considerate: takeOwn },
      reset(uniform) {
        const one = Math.floor(uniform() * size * size);
        const other = oneOf(
          range(size * size).map((cell) => cell !== one),
          uniform(),
        );
        const positions = [one, other].map(placeOf);
        return { positions, coin: drop(positions, uniform()), colour: uniform() < 0.5 ? 1 : 0 };
      },
      advance(before, actions, [place, shade]) {
        const positions = before.positions.map(([column, row], k) => {
          const [right, down] = STEPS[actions[k]];
          return [(column + right + size) % size, (row + down + size) % size];
        });
        const took = positions.map((position) => cellOf(position) === cellOf(before.coin));
        const hurt = [0, 1].map((k) => took[1 - k] && before.colour === k);
        const rewards = [0, 1].map((k) => rules.worth * took[k] - rules.damage * hurt[k]);
        if (!took.includes(true)) return [{ ...before, positions }, rewards];
        const colour = rules.colours === "random" ? Number(shade < 0.5) : 1 - before.colour;
        return [{ positions, coin: drop(positions, place), colour }, rewards];
      },
      observe(state, k) {
        const mine = state.colour === k;
        const there = [cellOf(state.coin)];
        const grids = [...[k, 1 - k].map((i) => [cellOf(state.positions[i])]), mine ? there : [], mine ? [] : there];
        return Float64Array.from(grids.flatMap((places) => [...ones(size * size, places)]));
      },
      measure(before, after, k) {
        const took = cellOf(after.positions[k]) === cellOf(before.coin);
        return { own_coins: took && before.colour === k, other_coins: took && before.colour !== k };
      },
      scene: (state) => ({
        players: state.positions.map(cellOf),
        frozen: [false, false],
        things: { [state.colour === 0 ? "own coin" : "other coin"]: [cellOf(state.coin)] },
      }),
    };
  }

  const GAMES = { "cleanup-lite": cleanup, coin };

  /** The rules of the game that `about` describes (see coplayer.pages.grid). */
  function rulesOf(about) {
    check(about.name in GAMES, `unknown game ${about.name}`);
    return GAMES[about.name](about);
  }

  // ---- Playing ----

  /** The player that `about` describes (see coplayer.pages.minds). */
  function player(about, game) {
    if (about.kind !== "walker") return Mind.player(about, game);
    const { strategies } = rulesOf(game);
    check(Object.hasOwn(strategies, about.strategy), `${about.name}: unknown strategy ${about.strategy}`);
    return {
      begin: () => null,
      act(memory, seen, reward, chance) {
        const policy = strategies[about.strategy](seen);
        return [memory, Mind.sample(policy, chance.move()), { policy }];
      },
    };
  }

  /** What is random in a game's tables, from numbers in [0, 1), of which there are as many as in JAX. */
  function tableOf(rules, uniform) {
    const coarse = () => Math.floor(uniform() * FINEST) / FINEST;
    return { open: () => rules.reset(coarse), draw: () => range(rules.draws).map(coarse) };
  }

  /**
   * A match, one round at a time. `table`: its chance. What was played also has the scenes before and after the round,
   * and what was measured of each player.
   */
  class Match extends Mind.Match {
    constructor(game, players, options) {
      super(game, players, options);
      this.rules = options.rules;
      this.table = options.table;
      this.state = null;
      this.stopped = false;
    }

    get over() {
      return this.stopped || super.over;
    }

    choose() {
      if (!this.pending && !this.over && this.opens) this.state = this.table.open();
      return super.choose();
    }

    observe(last, k) {
      return this.rules.observe(this.state, k);
    }

    settle(actions) {
      const before = this.state;
      const [after, rewards] = this.rules.advance(before, actions, this.table.draw());
      this.state = after;
      const measures = [0, 1].map((k) => this.rules.measure(before, after, k));
      return { scene: this.rules.scene(before), next: this.rules.scene(after), rewards, measures };
    }
  }

  /** An episode that was recorded, round by round, as `written` by coplayer.pages.grid. */
  function recorded(written) {
    const { kinds } = written;
    const scenes = written.scenes.map(([own, other, frozen, ...things]) => ({
      players: [own, other],
      frozen: [Boolean(frozen & 1), Boolean(frozen & 2)],
      things: Object.fromEntries(
        kinds.map((kind, i) => [
          kind,
          things.filter((thing) => thing % kinds.length === i).map((thing) => Math.floor(thing / kinds.length)),
        ]),
      ),
    }));
    const count = written.actions[0].length;
    return scenes.slice(0, count).map((scene, t) => ({
      scene,
      next: scenes[t + 1],
      actions: written.actions.map((row) => Number(row[t])),
      rewards: written.rewards.map((row) => row[t]),
      measures: [0, 1].map((k) =>
        Object.fromEntries(Object.entries(written.measures).map(([name, rows]) => [name, rows[k][t] === "1"])),
      ),
    }));
  }

  return { Match, MOVES, STEPS, player, recorded, rulesOf, tableOf };
})();
