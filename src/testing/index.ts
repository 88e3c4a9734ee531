/** For tests of what is built on Breakwater: virtual time, seeded chance, providers and disks that do as told. */
export { createFaultyDisk, openFaultyStore } from './faulty-store.ts';
export { createManualClock, type ManualClock, type ManualClockOptions } from './manual-clock.ts';
export { createSeededRandom } from './seeded-random.ts';
export { chatAnswer, chatError, chatStream, silence, streamEnd, streamStart, type ChatOptions } from './simulated-chat.ts';
export {
  createSimulatedUpstream,
  type SimulatedAnswer,
  type SimulatedCall,
  type SimulatedStep,
  type SimulatedUpstream,
} from './simulated-upstream.ts';
