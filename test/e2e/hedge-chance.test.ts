/** Two parallel attempts under random events, often at the same instant: nothing is leaked. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatStream, silence, streamStart } from '../../src/testing/simulated-chat.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { HEDGE, after, assertSettled, failing } from './hedge-world.ts';
import type { Script } from './hedge-world.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';

const SEEDS = 6;
const ROUNDS = 40;
/** Few and round, so that many things happen at once. */
const INSTANTS = [0, 100, 400, 500, 600, 1000, 1500, 2000];
const NAMES = ['a', 'b', 'c'];

interface Chance {
  readonly isSo: (share: number) => boolean;
  readonly pick: <T>(list: readonly T[]) => T;
  /** Random delays in milliseconds. */
  readonly at: () => number;
  readonly script: () => Script;
}

function chanceOf(seed: number): Chance {
  const random = createSeededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)]!;
  const at = (): number => pick(INSTANTS);
  const scripts: readonly (() => Script)[] = [
    () => after(at(), 'long enough to be good'),
    () => after(at(), 'poor'),
    () => after(at(), ''),
    () => failing(at(), pick([400, 401, 429, 500, 503])),
    () => failing(at(), 400, { code: 'unsupported_parameter', param: 'temperature' }),
    () => silence,
    () => () => ({ steps: [...streamStart({ headersAfterMs: at(), gapMs: at() }), { do: 'break', code: 'ECONNRESET' }] }),
    () => () => chatStream({ firstContentAfterMs: at(), gapMs: at() }),
    () => () => chatResponse({ headersAfterMs: at(), firstContentAfterMs: at() }),
  ];
  return { isSo: (share) => random.next() < share, pick, at, script: () => pick(scripts)() };
}

/** Without, only probes are raced. */
const areHedged = (seed: number): boolean => seed % 3 !== 0;

interface Stage {
  readonly world: VirtualWorld;
  readonly chance: Chance;
  /** Gives every provider a new behaviour. */
  change(): void;
}

async function startStage(t: TestContext, seed: number): Promise<Stage> {
  const chance = chanceOf(seed);
  let behaviour: Record<string, Script> = Object.fromEntries(NAMES.map((name) => [name, after(100)]));
  const world: VirtualWorld = await startVirtualWorld(t, {
    providers: Object.fromEntries(NAMES.map((name) => [name, (call) => behaviour[name]!(call)])),
    keys: ['one', 'two'],
    limits: { concurrency: 6 },
    config: {
      policy: {
        hedge: { ...HEDGE, enabled: areHedged(seed) },
        breaker: { consecutiveFailures: 2, openFor: '1s', maxOpenFor: '2s' },
        retry: { budget: { ratio: 1, minPerSecond: 10 } },
        quality: {
          buffer: chance.isSo(0.3),
          check: ({ text }) => new Promise<boolean>((resolve) => world.clock.schedule(chance.at(), () => resolve(text.length > 10))),
        },
      },
    },
  });
  // So that the usual silence of every target is known.
  for (let i = 0; i < 120; i++) await world.answerTo({ stream: i % 2 === 0 });
  const change = (): void => void (behaviour = Object.fromEntries(NAMES.map((name) => [name, chance.script()])));
  return { world, chance, change };
}

/** Several requests at once, with random events for them and their targets. */
async function playRound({ world, chance: { at, isSo, pick } }: Stage): Promise<void> {
  const { clock, gateway } = world;
  const asked = Array.from({ length: pick([1, 2, 3, 4]) }, () =>
    world.ask({ stream: isSo(0.5), temperature: 0 }, { 'x-breakwater-deadline-ms': pick(['1500', '2000', '5000']) }),
  );
  for (const caller of asked) if (isSo(0.3)) clock.schedule(at(), () => caller.leave());
  if (isSo(0.2)) clock.schedule(at(), () => gateway.isolate(`${pick(NAMES)}/m`));
  if (isSo(0.3)) clock.schedule(at(), () => gateway.reset(`${pick(NAMES)}/m`));
  if (isSo(0.2)) clock.schedule(at(), () => void gateway.reload({ ...gateway.config }));
  const deafen = gateway.events.onAny(({ type }) => {
    if (type.startsWith('attempt') && isSo(0.01)) pick(asked).leave();
  });
  await world.until(Promise.allSettled(asked.map(({ done }) => done)));
  deafen();
  for (const name of NAMES) if (isIsolated(world, name)) gateway.reset(`${name}/m`);
  await clock.advanceAsync(130_000); // what is kept to be looked at again, and what lingers, is over
}

function isIsolated(world: VirtualWorld, provider: string): boolean {
  return world.gateway.targets().some(({ target, breaker }) => target === `${provider}/m` && breaker.state === 'isolated');
}

for (let seed = 1; seed <= SEEDS; seed++) {
  it(`under random events, by seed ${seed}`, { timeout: 60_000 }, async (t) => {
    const stage = await startStage(t, seed);
    const { clock } = stage.world;
    await clock.advanceAsync(130_000);
    const timersAtRest = clock.pendingTimers;
    for (let round = 0; round < ROUNDS; round++) {
      stage.change();
      await playRound(stage);
      assertSettled(stage.world);
      assert.deepEqual(stage.world.eventsOf('warning'), []);
      assert.ok(clock.pendingTimers <= timersAtRest, `${clock.pendingTimers} timers instead of ${timersAtRest}, in round ${round}`);
    }
    const races = stage.world.eventsOf('attempt').filter(({ race }) => race !== null);
    assert.ok(races.length > 0 || !areHedged(seed));
  });
}
