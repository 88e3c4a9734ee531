/** Reads an incident file as the behaviour of simulated targets. */
import { readFile } from 'node:fs/promises';
import type { ModelBehaviour } from '../../testing/simulated-provider.ts';
import { OperatorError } from '../fail.ts';
import { INCIDENT_VERSION, type Incident } from './incident.ts';

/**
 * By target. `firstAt`: the epoch of the first replayed request, at which the simulation starts. Response lengths are those of the
 * recording.
 */
export async function readIncident(
  file: string,
  firstAt: number,
  recorded: ReadonlyMap<string, ModelBehaviour>,
): Promise<ReadonlyMap<string, ModelBehaviour>> {
  const incident = await parseIncident(file);
  const startMs = firstAt - incident.from;
  const shifted = <T extends { readonly fromMs?: number; readonly untilMs?: number }>(window: T): T => ({
    ...window,
    ...(window.fromMs === undefined ? {} : { fromMs: window.fromMs - startMs }),
    ...(window.untilMs === undefined ? {} : { untilMs: window.untilMs - startMs }),
  });
  const entries = Object.entries(incident.targets).map(([target, { faults, phases }]): [string, ModelBehaviour] => [
    target,
    { ...recorded.get(target), faults: faults.map(shifted), phases: phases.map(shifted) },
  ]);
  return new Map([...recorded, ...entries]);
}

/** Throws an `OperatorError` if it can't be read. */
export async function parseIncident(file: string): Promise<Incident> {
  try {
    const value = JSON.parse(await readFile(file, 'utf8')) as Incident;
    if (
      value.v === INCIDENT_VERSION &&
      Object.values(value.targets).every(({ faults, phases }) => Array.isArray(faults) && Array.isArray(phases))
    )
      return value;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined) throw new OperatorError([`${file}: can't be read (got ${code})`]);
  }
  throw new OperatorError([`${file}: is not an incident of this version, as written by breakwater record incident`]);
}
