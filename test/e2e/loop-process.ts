/**
 * A gateway in a process of its own with a small heap, which says how long one turn of its event loop took: started by `loop-world.ts`,
 * which tells the config by argument and asks for figures by message.
 */
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startGateway } from './harness.ts';

/** What the process says of itself since it was last asked. */
export interface LoopFigures {
  /**
   * The most processor time that one turn of the loop took, in milliseconds: nobody else waited for longer. Unlike a delay of the loop it
   * does not grow because other processes have the processor.
   */
  readonly busyMs: number;
  readonly rss: number;
  /** Bodies and answers held. */
  readonly heldBytes: number;
}

const gateway = await startGateway(JSON.parse(process.argv[2]!) as ConfigInput);
let busyMs = 0;
let usedBefore = usedMs();

function usedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

// Once a millisecond and not at every turn, which would keep a core busy: turns that take less than that are measured as one.
setInterval(() => {
  const used = usedMs();
  busyMs = Math.max(busyMs, used - usedBefore);
  usedBefore = used;
}, 1);

process.on('message', () => {
  gateway.events.length = 0; // the harness keeps them all
  const figures: LoopFigures = { busyMs, rss: process.memoryUsage.rss(), heldBytes: gateway.gateway.queue().heldBytes };
  busyMs = 0;
  process.send!(figures);
});
process.on('disconnect', () => process.exit());
process.send!(gateway.url);
