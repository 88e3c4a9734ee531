/** Utilities for tests of software built on Breakwater: virtual time, seeded randomness, scripted providers and faulty disks. */
export { createFaultyDisk, openFaultyStore } from './faulty-store.ts';
export { createManualClock, type ManualClock, type ManualClockOptions } from './manual-clock.ts';
export type { ProviderLimits } from './provider-limits.ts';
export { createSeededRandom } from './seeded-random.ts';
export type { ResponseEnd, SimulatedCaller } from './simulated-caller.ts';
export { chatResponse, chatError, chatStream, silence, streamEnd, streamStart, type ChatOptions } from './simulated-chat.ts';
export {
  createSimulatedUpstream,
  type SimulatedResponse,
  type SimulatedCall,
  type SimulatedStep,
  type SimulatedUpstream,
} from './simulated-upstream.ts';
export { SIMULATED_FAULT_KINDS, type SimulatedFault, type SimulatedFaultKind } from './simulated-faults.ts';
export {
  SimulatedProvider,
  type ProviderBehaviour,
  type ProviderCall,
  type ProviderCount,
  type ProviderParts,
} from './simulated-provider.ts';
export { createSimulation, type Simulation, type SimulationOptions } from './simulation.ts';
export type { Spread } from './spread.ts';
export { generateLoad, type Load, type LoadKind, type SimulatedRequest } from './workload.ts';
