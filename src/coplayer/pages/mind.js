// What players compute: the same numbers as coplayer's networks and players give in JAX, move by move. Nothing here
// knows of a page, so that tests can run it by itself. Numbers are doubles here, and single precision in JAX.
"use strict";

const Mind = (() => {
  const START = 0;
  const WINDOW = 4; // inputs that a Hawk's convolution sees
  const DECAY = 8; // of a Hawk's recurrence
  const EPSILON = 1e-6; // in a Hawk's norm

  function check(holds, message) {
    if (!holds) throw new Error(message);
  }

  // ---- Weights ----

  /** The numbers of {shape, data}, where data is base64 of little-endian float32. */
  function unpack(packed, name) {
    const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
    const count = packed.shape.reduce((product, size) => product * size, 1);
    check(bytes.length === 4 * count, `${name} has ${bytes.length / 4} numbers, and should have ${count}`);
    const view = new DataView(bytes.buffer);
    const values = Float64Array.from({ length: count }, (_, i) => view.getFloat32(4 * i, true));
    check(values.every(Number.isFinite), `${name} has a number that is not finite`);
    return { shape: packed.shape, values };
  }

  /** Nested objects and lists of packed arrays, unpacked. */
  function unpackAll(node, name) {
    if (node && typeof node.data === "string" && Array.isArray(node.shape)) return unpack(node, name);
    if (Array.isArray(node)) return node.map((item, i) => unpackAll(item, `${name} ${i}`));
    check(node && typeof node === "object", `${name} has no weights`);
    return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, unpackAll(item, `${name}, ${key}`)]));
  }

  // ---- Small parts ----

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const gelu = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const mean = (values) => sum(values) / values.length;

  function softmax(logits) {
    const most = Math.max(...logits);
    const weights = Array.from(logits, (logit) => Math.exp(logit - most));
    const total = sum(weights);
    return weights.map((weight) => weight / total);
  }

  function logSoftmax(logits) {
    const most = Math.max(...logits);
    const log = most + Math.log(sum(Array.from(logits, (logit) => Math.exp(logit - most))));
    return Array.from(logits, (logit) => logit - log);
  }

  /** The choice at `uniform` in [0, 1), by the cumulative distribution. */
  function sample(probabilities, uniform) {
    let total = 0;
    let choice = 0;
    for (let i = 0; i < probabilities.length - 1; i++) {
      total += probabilities[i];
      if (uniform >= total) choice++;
    }
    return choice;
  }

  function oneHot(place, size) {
    const row = new Float64Array(size);
    row[place] = 1;
    return row;
  }

  /** Adds inputs times weights, `[inputs, outputs]`, to `total`. Inputs that are left out count as 0. */
  function addProduct(total, inputs, weights) {
    const width = total.length;
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i];
      if (input === 0) continue;
      for (let k = 0, at = i * width; k < width; k++, at++) total[k] += input * weights[at];
    }
    return total;
  }

  const affine = (layer, inputs) => addProduct(layer.bias.values.slice(), inputs, layer.weights.values);

  /** A read-out whose weights are `[outputs, inputs]`. */
  function readOut(weights, bias, features) {
    const width = features.length;
    return Array.from(bias.values, (start, output) => {
      let total = start;
      for (let i = 0, at = output * width; i < width; i++, at++) total += weights.values[at] * features[i];
      return total;
    });
  }

  // ---- Recurrent cores: one history at a time ----

  function gru(weights) {
    const size = weights.hidden_weights.shape[0];
    const given = new Float64Array(3 * size);
    const product = new Float64Array(3 * size);
    const candidateBias = weights.candidate_bias.values;
    return {
      initial: () => new Float64Array(size),
      step(state, inputs) {
        given.set(weights.bias.values);
        product.fill(0);
        addProduct(given, inputs, weights.input_weights.values);
        addProduct(product, state, weights.hidden_weights.values);
        const next = new Float64Array(size);
        for (let i = 0; i < size; i++) {
          const reset = sigmoid(given[i] + product[i]);
          const update = sigmoid(given[size + i] + product[size + i]);
          const recurrent = product[2 * size + i] + candidateBias[i];
          const candidate = Math.tanh(given[2 * size + i] + reset * recurrent);
          next[i] = candidate + update * (state[i] - candidate);
        }
        return next;
      },
      features: (state) => state.map((x) => x * sigmoid(x)),
    };
  }

  function hawk(weights) {
    const width = weights.norm.scale.values.length;

    function norm(layer, row) {
      const scale = 1 / Math.sqrt(mean(row.map((x) => x * x)) + EPSILON);
      return row.map((x, i) => x * scale * (1 + layer.scale.values[i]));
    }

    /** A linear layer for each head, on its own part of the row. */
    function byHeads(layer, row) {
      const [heads, part] = layer.weights.shape;
      const total = layer.bias.values.slice();
      for (let head = 0; head < heads; head++) {
        const own = total.subarray(head * part, (head + 1) * part);
        const matrix = layer.weights.values.subarray(head * part * part, (head + 1) * part * part);
        addProduct(own, row.subarray(head * part, (head + 1) * part), matrix);
      }
      return total;
    }

    function convolve(layer, inputs) {
      const total = layer.bias.values.slice();
      inputs.forEach((row, at) => row.forEach((x, i) => (total[i] += x * layer.weights.values[at * width + i])));
      return total;
    }

    function recur(layer, hidden, row, fresh) {
      const input = byHeads(layer.input_gate, row).map(sigmoid);
      const gate = byHeads(layer.decay_gate, row).map(sigmoid);
      return row.map((x, i) => {
        const log = -DECAY * gate[i] * softplus(layer.decay.values[i]);
        if (fresh) return input[i] * x;
        return Math.exp(log) * hidden[i] + Math.sqrt(-Math.expm1(2 * log)) * input[i] * x;
      });
    }

    function blockStep(block, state, row, fresh) {
      const normed = norm(block.recurrent_norm, row);
      const window = [...state.window.slice(1), affine(block.linear_x, normed)];
      const hidden = recur(block.lru, state.hidden, convolve(block.convolution, window), fresh);
      const gate = affine(block.linear_y, normed).map(gelu);
      const mixed = affine(
        block.linear_out,
        hidden.map((x, i) => x * gate[i]),
      ).map((x, i) => row[i] + x);
      const again = norm(block.mlp_norm, mixed);
      const up = affine(block.mlp_up, again);
      const down = affine(
        block.mlp_down,
        affine(block.mlp_gate, again).map((x, i) => gelu(x) * up[i]),
      );
      return [{ window, hidden }, down.map((x, i) => mixed[i] + x)];
    }

    const nothing = () => new Float64Array(width);
    return {
      initial: () => ({
        fresh: true,
        blocks: weights.blocks.map(() => ({ window: Array.from({ length: WINDOW }, nothing), hidden: nothing() })),
        features: nothing(),
      }),
      step(state, inputs) {
        let row = affine(weights.embedding, inputs);
        const blocks = weights.blocks.map((block, i) => {
          const [next, out] = blockStep(block, state.blocks[i], row, state.fresh);
          row = out;
          return next;
        });
        return { fresh: false, blocks, features: norm(weights.norm, row) };
      },
      features: (state) => state.features,
    };
  }

  const CORES = { gru, hawk };

  // ---- Sequence models of an episode (coplayer.networks.world_model) ----

  function roundModel(weights, core, game) {
    const n = game.actions;

    function heads(state) {
      const outputs = readOut(weights.head_weights, weights.head_bias, core.features(state));
      const square = (first) =>
        Array.from({ length: n }, (_, own) => outputs.slice(first + own * n, first + own * n + n));
      return { logits: outputs.slice(0, n), replies: square(n), rewards: square(n + n * n) };
    }

    const observed = (observation) => oneHot(observation, 1 + n * n);
    return {
      initial: core.initial,
      see: (state, observation) => core.step(state, observed(observation)),
      logits: (state) => heads(state).logits,
      imagine(state, action, uniform) {
        const { replies, rewards } = heads(state);
        const reply = sample(softmax(replies[action]), uniform);
        return [core.step(state, observed(1 + action * n + reply)), rewards[action][reply]];
      },
      replies: (state) => heads(state).replies.map(softmax),
      expectedRewards(state) {
        const { replies, rewards } = heads(state);
        return replies.map((row, own) => sum(softmax(row).map((p, reply) => p * rewards[own][reply])));
      },
    };
  }

  function tokenModel(weights, core, game) {
    const n = game.actions;
    const layers = weights.embeddings.map(([matrix, bias]) => ({ matrix, bias }));
    const read = ([matrix, bias], state) => readOut(matrix, bias, core.features(state));

    /** The state after a token: the embedding's weights are `[embedding, inputs]`. */
    function token(state, modality, inputs) {
      const { matrix, bias } = layers[modality];
      const [size, wide] = matrix.shape;
      const embedded = Float64Array.from({ length: size }, (_, row) => {
        let total = bias.values[row];
        inputs.forEach((input, i) => (total += input * matrix.values[row * wide + i]));
        return total;
      });
      return core.step(state, embedded);
    }

    const seeOutcome = (state, observation) => token(state, 0, oneHot(observation, 1 + n * n));
    const seeReward = (state, reward) => token(state, 1, [reward]);
    const acting = (state, action) => token(state, 2, oneHot(action, n));
    return {
      initial: core.initial,
      see(state, observation, reward) {
        const acted = observation === START ? state : acting(state, Math.floor((observation - 1) / n));
        return seeReward(seeOutcome(acted, observation), reward);
      },
      logits: (state) => read(weights.action_head, state),
      imagine(state, action, uniform) {
        const acted = acting(state, action);
        const outcome = seeOutcome(acted, sample(softmax(read(weights.observation_head, acted)), uniform));
        const [reward] = read(weights.reward_head, outcome);
        return [seeReward(outcome, reward), reward];
      },
      /** May add up to less than 1: the model can give weight to outcomes that belie one's own action. */
      replies: (state) =>
        Array.from({ length: n }, (_, own) => {
          const outcomes = softmax(read(weights.observation_head, acting(state, own)));
          return outcomes.slice(1 + own * n, 1 + own * n + n);
        }),
    };
  }

  const MODELS = { round: roundModel, token: tokenModel };

  // ---- Planning (coplayer.players.planner) ----

  /**
   * Q of each action, and the imagined futures behind it: futures[action][rollout][round] is an imagined reward.
   * `uniforms(step, count)`: numbers in [0, 1) of an imagined round, those of one's own actions first.
   */
  function plan(model, state, planner, actions, uniforms) {
    const { rollouts, horizon } = planner;
    const rows = planner.common_random_numbers ? 1 : actions;
    const drawn = Array.from({ length: horizon }, (_, step) => uniforms(step, 2 * rows * rollouts));
    const own = (step, action, r) => drawn[step][(rows === 1 ? 0 : action) * rollouts + r];
    const reply = (step, action, r) => drawn[step][rows * rollouts + (rows === 1 ? 0 : action) * rollouts + r];
    const expected = planner.expected_rewards ? model.expectedRewards(state) : null;

    function future(action, r) {
      let [imagined, reward] = model.imagine(state, action, reply(0, action, r));
      const rewards = [expected ? expected[action] : reward];
      for (let step = 1; step < horizon; step++) {
        const prior = softmax(model.logits(imagined));
        const coming = expected && model.expectedRewards(imagined);
        const averaged = expected && sum(prior.map((p, a) => p * coming[a]));
        if (expected && step === horizon - 1) {
          rewards.push(averaged);
          break;
        }
        [imagined, reward] = model.imagine(imagined, sample(prior, own(step, action, r)), reply(step, action, r));
        rewards.push(expected ? averaged : reward);
      }
      return rewards;
    }

    const futures = Array.from({ length: actions }, (_, action) =>
      Array.from({ length: rollouts }, (_, r) => future(action, r)),
    );
    return { q: futures.map((rewards) => mean(rewards.map(sum))), futures };
  }

  /** Probabilities: prior times exp(Q / temperature), normalised. */
  function improve(logits, q, temperature) {
    const most = Math.max(...q);
    const logs = logSoftmax(logits).map((log, action) => log + (q[action] - most) / temperature);
    return softmax(logs);
  }

  // ---- Players ----
  // act(memory, observation, reward, chance) gives [memory, action, thought]. `chance.plan(step, count)` and
  // `chance.move()` give uniform numbers. A thought has the policy, and what else the player knows of it.

  function planner(about, weights, core, game) {
    const model = MODELS[about.model](weights, core, game);
    const n = game.actions;
    const rewards = game.payoffs[about.seat ?? 0];

    /** How likely the other cooperates in the round after each joint action, in the other's view. */
    function expectations(state) {
      const found = new Array(n * n);
      for (let joint = 0; joint < n * n; joint++) {
        const next = model.see(state, 1 + joint, rewards[joint]);
        const prior = softmax(model.logits(next));
        const replies = model.replies(next).map((row) => row[game.cooperation] / sum(row));
        found[swap(joint, n)] = sum(prior.map((p, own) => p * replies[own]));
      }
      return found;
    }

    return {
      begin: model.initial,
      act(before, observation, reward, chance) {
        const state = model.see(before, observation, reward);
        const logits = model.logits(state);
        const { q, futures } = plan(model, state, about.planner, n, chance.plan);
        const policy = improve(logits, q, about.planner.temperature);
        const thought = { prior: softmax(logits), q, futures, policy, replies: model.replies(state) };
        return [state, sample(policy, chance.move()), { ...thought, logits, expectations: () => expectations(state) }];
      },
    };
  }

  /** An observation is a symbol, or a vector of numbers. */
  function actorCritic(about, weights, core, game) {
    const inputs = (seen) => (typeof seen === "number" ? oneHot(seen, 1 + game.actions ** 2) : seen);
    return {
      begin: core.initial,
      act(before, observation, reward, chance) {
        const state = core.step(before, inputs(observation));
        const outputs = readOut(weights.head_weights, weights.head_bias, core.features(state));
        const logits = outputs.slice(0, -1);
        const policy = softmax(logits);
        return [state, sample(policy, chance.move()), { policy, logits, value: outputs.at(-1) }];
      },
    };
  }

  /** A memory-1 player: table[observation][action]. */
  function tabular(table) {
    return {
      begin: () => null,
      act: (memory, observation, reward, chance) => [
        memory,
        sample(table[observation], chance.move()),
        { policy: table[observation] },
      ],
    };
  }

  function automaton(about) {
    return {
      begin: () => 0,
      act(before, observation, reward, chance) {
        const state = observation === START ? before : about.next[before][observation - 1];
        const policy = [about.cooperate[state], 1 - about.cooperate[state]];
        return [state, sample(policy, chance.move()), { policy }];
      },
    };
  }

  /** The player that `about` describes (see coplayer.pages.minds). */
  function player(about, game) {
    if (about.kind === "table") return tabular(about.table);
    if (about.kind === "automaton") return automaton(about);
    check(about.kind === "planner" || about.kind === "actor-critic", `${about.name}: unknown kind ${about.kind}`);
    check(about.core in CORES, `${about.name}: unknown core ${about.core}`);
    const weights = unpackAll(about.weights, about.name);
    const core = CORES[about.core](weights.core);
    return (about.kind === "planner" ? planner : actorCritic)(about, weights, core, game);
  }

  // ---- Playing ----

  const swap = (joint, n) => (joint % n) * n + Math.floor(joint / n);

  /** Uniform numbers in [0, 1) from a seed, a whole number, and the number of a stream (sfc32). */
  function random(seed, stream) {
    let [a, b, c, count] = [seed | 0, Math.floor(seed / 2 ** 32) | 0, stream | 0, 1];
    function next() {
      const t = (((a + b) | 0) + count) | 0;
      count = (count + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + t;
      c |= 0;
      return (t >>> 0) / 2 ** 32;
    }
    for (let i = 0; i < 16; i++) next();
    return next;
  }

  function chanceOf(uniform) {
    return { plan: (step, count) => Array.from({ length: count }, uniform), move: uniform };
  }

  /**
   * A match, one round at a time. `players`: two players as `player` gives them, or null for a person. `seats[k]` is
   * the seat of player k. `episodes` in a row: `lasting[k]` says whether player k remembers from one to the next.
   */
  class Match {
    constructor(game, players, { seats = [0, 1], chances, rounds, episodes = 1, lasting = [false, false] }) {
      Object.assign(this, { game, players, seats, chances, rounds, episodes, lasting });
      this.memories = players.map((one) => one && one.begin());
      this.played = []; // {actions, rewards, thoughts, episode}
      this.pending = null;
    }

    get total() {
      return this.rounds * this.episodes;
    }

    get over() {
      return this.played.length >= this.total;
    }

    /** Whether the round to come is the first of an episode. */
    get opens() {
      return this.played.length % this.rounds === 0;
    }

    /** Of the first `count` rounds those, counted from 0, in which an episode begins, but for the very first one. */
    breaks(count = this.played.length) {
      return Array.from({ length: count }, (_, t) => t).filter((t) => t && t % this.rounds === 0);
    }

    /** What each player chose for the round to come: {actions, thoughts}, null for a person. */
    choose() {
      if (this.pending || this.over) return this.pending;
      const last = this.opens ? null : this.played.at(-1);
      const chosen = this.players.map((one, k) => {
        if (!one) return [null, null, null];
        if (this.opens && this.played.length && !this.lasting[k]) this.memories[k] = one.begin();
        return one.act(this.memories[k], this.observe(last, k), last ? last.rewards[k] : 0, this.chances[k]);
      });
      this.memories = chosen.map(([memory]) => memory);
      this.pending = { actions: chosen.map(([, action]) => action), thoughts: chosen.map(([, , thought]) => thought) };
      return this.pending;
    }

    /** Play the round; `action` is a person's. Gives what was played. */
    play(action = null) {
      const { actions, thoughts } = this.choose();
      const taken = actions.map((chosen) => chosen ?? action);
      const whole = taken.every((one) => Number.isInteger(one) && one >= 0 && one < this.game.actions);
      check(whole, `an action must be one of 0 to ${this.game.actions - 1}`);
      const episode = Math.floor(this.played.length / this.rounds);
      this.played.push({ actions: taken, thoughts, episode, ...this.settle(taken) });
      this.pending = null;
      return this.played.at(-1);
    }

    /** What player k sees; `last`: the round before in the episode, or null. */
    observe(last, k) {
      return last ? 1 + this.joint(last.actions, k) : START;
    }

    /** What comes of the actions of a round: the rewards. */
    settle(actions) {
      return { rewards: actions.map((_, k) => this.game.payoffs[this.seats[k]][this.joint(actions, k)]) };
    }

    joint(actions, k) {
      return actions[k] * this.game.actions + actions[1 - k];
    }
  }

  // ---- What is measured of a match ----

  /**
   * How often player k cooperated after each joint action of the round before, its own action first: {count, rate} by
   * joint action; the rate after what never happened is null. Nothing is counted across the ends of episodes.
   */
  function signature(played, k, game) {
    const found = Array.from({ length: game.actions ** 2 }, () => ({ count: 0, times: 0 }));
    for (let t = 1; t < played.length; t++) {
      if (played[t].episode !== played[t - 1].episode) continue;
      const before = played[t - 1].actions;
      const cell = found[before[k] * game.actions + before[1 - k]];
      cell.count++;
      if (played[t].actions[k] === game.cooperation) cell.times++;
    }
    return found.map(({ count, times }) => ({ count, rate: count ? times / count : null }));
  }

  /**
   * Root mean square distance of known rates from the four probabilities of each kind, over the situations that are
   * known (null: unknown), nearest first.
   */
  function nearest(rates, kinds) {
    const known = rates.map((rate, i) => [rate, i]).filter(([rate]) => rate !== null);
    if (!known.length) return [];
    const placed = kinds.map((kind) => ({
      ...kind,
      distance: Math.sqrt(mean(known.map(([rate, i]) => (rate - kind.probabilities[i]) ** 2))),
    }));
    return placed.sort((one, other) => one.distance - other.distance);
  }

  /**
   * The memory-1 player who does after each joint action what player k did, as often. Where something never happened,
   * every action is as likely as any other.
   */
  function imitation(played, k, game) {
    const n = game.actions;
    const counts = Array.from({ length: 1 + n * n }, () => new Array(n).fill(0));
    played.forEach(({ actions, episode }, t) => {
      const before = t > 0 && played[t - 1].episode === episode ? played[t - 1].actions : null;
      const observation = before ? 1 + before[k] * n + before[1 - k] : START;
      counts[observation][actions[k]]++;
    });
    return tabular(counts.map((row) => row.map((count) => (sum(row) ? count / sum(row) : 1 / n))));
  }

  return {
    START,
    Match,
    chanceOf,
    check,
    imitation,
    improve,
    mean,
    nearest,
    plan,
    player,
    random,
    sample,
    signature,
    softmax,
    sum,
    swap,
  };
})();
