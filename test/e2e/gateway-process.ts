/**
 * A gateway in a process of its own, so that its memory can be measured: started by `slow-caller.test.ts`, which tells the
 * config by argument and asks for figures by message.
 */
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startGateway } from './harness.ts';

/** What the process says of itself, in bytes. */
export interface Figures {
  readonly rss: number;
  /** Live memory: the heap and its buffers, after a collection. */
  readonly live: number;
  readonly inFlight: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
// Code that is compiled under another flag would be rejected by the compile cache of all other tests.
setFlagsFromString('--no-expose-gc');

const gateway = await startGateway(JSON.parse(process.argv[2]!) as ConfigInput);
process.on('message', async () => {
  gateway.events.length = 0; // the harness keeps them all
  collect();
  // The memory of dead buffers is given back beside the collection.
  await setTimeout(10);
  collect();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const figures: Figures = { rss, live: heapUsed + arrayBuffers, inFlight: gateway.gateway.queue().inFlight };
  process.send!(figures);
});
process.on('disconnect', () => process.exit());
process.send!(gateway.url);
