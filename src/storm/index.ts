/**
 * Storm, the simulated provider: it implements the APIs of OpenAI, Anthropic, Google and the cloud platforms on real
 * sockets, enforces real rate limits, and injects faults.
 * `dialect.ts` defines what a protocol implements, `fault-kinds.ts` lists the faults, `response-script.ts` describes
 * how they combine.
 */
import { createAccounts } from './accounts.ts';
import { createBatchCalls } from './batches/batch-calls.ts';
import type { StormBatchOptions, StormBatchStats } from './batches/options.ts';
import { createCallHandler } from './call.ts';
import { handleControl } from './control.ts';
import { createDelivery } from './delivery.ts';
import { createDialects } from './dialects.ts';
import { createFaultPlan } from './faults.ts';
import { listen } from './listener.ts';
import type { StormFault, StormOptions } from './options.ts';
import { createSeals } from './seals.ts';
import { createTally } from './stats.ts';
import type { StormStats } from './stats.ts';
import { createStormClock } from './system.ts';

export type { Spread, StormFault, StormLimits, StormOptions, StormPhase, StormTiming } from './options.ts';
export type { CallRecord, StormStats } from './stats.ts';
export type { BatchFault, StormBatchOptions, StormBatchStats } from './batches/options.ts';
export type { StormFaultKind } from './fault-names.ts';
export { FAULT_KINDS } from './fault-kinds.ts';

const MODELS_DEFAULT = ['storm-small', 'storm-large', 'gpt-5-storm'];

export interface Storm {
  /** Base URL for SDKs, `http://HOST:PORT/v1`. */
  url: string;
  port: number;
  stats(): StormStats;
  /** Clears statistics, limit usage, stored responses and the call counts of faults. Running calls continue. */
  reset(): void;
  /** Replaces the faults. Throws on unknown kinds. */
  setFaults(faults: readonly StormFault[]): void;
  /** The batch APIs, whose requests are not among the calls of `stats`. */
  batches(): StormBatchStats;
  /** Replaces the options of the batch APIs, for batches created from now on. */
  setBatches(options: StormBatchOptions): void;
  /** While down, connections are reset and new ones refused; it comes back up on the same port. */
  setDown(down: boolean): Promise<void>;
  close(): Promise<void>;
}

/** Starts Storm. Rejects if the port is in use; throws on unknown fault kinds. */
export async function startStorm(options: StormOptions = {}): Promise<Storm> {
  const clock = createStormClock();
  const tally = createTally(clock);
  const models = options.models ?? MODELS_DEFAULT;
  const plan = createFaultPlan(options.faults ?? [], options.seed ?? 1);
  const accounts = createAccounts(options.limits, options.minuteMs ?? 60_000);
  const delivery = createDelivery(options, tally, clock, () => listener.isDown());
  const seals = createSeals(() => options.account ?? `${options.name ?? 'storm'} ${options.seed ?? 1} ${listener.port}`);
  const dialects = createDialects({ models, seals, epochMs: () => clock.epochMs() });
  const take = createCallHandler({ options, models, dialects, plan, accounts, tally, delivery, clock });
  const batches = createBatchCalls(options, dialects, () => clock.epochMs());
  const host = options.host ?? '127.0.0.1';
  let closed = false;

  const controls = {
    stats: () => tally.show(),
    reset() {
      tally.reset();
      plan.reset();
      accounts.reset();
      batches.reset();
      for (const dialect of dialects.all) dialect.reset?.();
    },
    setFaults: (faults: readonly StormFault[]) => plan.set(faults),
    batches: () => batches.stats(),
    setBatches: (next: StormBatchOptions) => batches.set(next),
  };
  function downFor(ms: number): void {
    void listener.setDown(true);
    clock.schedule(ms, () => {
      if (!closed) void listener.setDown(false);
    });
  }
  const listener = await listen(
    host,
    options.port ?? 0,
    (received, res) => {
      if (received.path.startsWith('/storm/')) handleControl(received, res, { ...controls, downFor });
      else if (!batches.answer(received, res)) take(received, res);
    },
    (by) => tally.connected(by),
  );

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${listener.port}/v1`,
    port: listener.port,
    ...controls,
    setDown: (down) => listener.setDown(down),
    close() {
      closed = true;
      return listener.close();
    },
  };
}
