/**
 * A gateway in a process of its own with a small heap, which says how long its event loop was held up: started by
 * `large-bodies.test.ts` and `large-answers.test.ts`, which tell the config by argument and ask for figures by message.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startGateway } from './harness.ts';

/** What the process says of itself since it was last asked. */
export interface LoopFigures {
  /** The longest that the loop was late, in milliseconds. */
  readonly lateMs: number;
  /** The most processor time that one turn of the loop took, in milliseconds: the same on a busy machine as on an idle one. */
  readonly busyMs: number;
  readonly rss: number;
  /** Bodies and answers held. */
  readonly heldBytes: number;
}

const gateway = await startGateway(JSON.parse(process.argv[2]!) as ConfigInput);
const RESOLUTION_MS = 2;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

let busyMs = 0;
let usedBefore = usedMs();
const turn = (): void => {
  const used = usedMs();
  busyMs = Math.max(busyMs, used - usedBefore);
  usedBefore = used;
  setImmediate(turn);
};

function usedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

let isMeasuring = false;

process.on('message', () => {
  if (!isMeasuring) {
    isMeasuring = true;
    usedBefore = usedMs();
    turn();
  }
  gateway.events.length = 0; // the harness keeps them all
  const lateMs = Math.max(0, delay.max / 1e6 - RESOLUTION_MS);
  delay.reset();
  const longest = busyMs;
  busyMs = 0;
  const figures: LoopFigures = { lateMs, busyMs: longest, rss: process.memoryUsage.rss(), heldBytes: gateway.gateway.queue().heldBytes };
  process.send!(figures);
});
process.on('disconnect', () => process.exit());
process.send!(gateway.url);
