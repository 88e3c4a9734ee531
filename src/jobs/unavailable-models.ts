import type { Job } from '../store/jobs/job-store.ts';
import type { JobHost } from './host.ts';

/**
 * The models of a new job that its client may not use, or that are unknown: requests for these end when they run. Requests for all others
 * wait if their model is removed later.
 */
export async function unavailableModels(host: JobHost, clientName: string, models: Iterable<string>): Promise<string[]> {
  const client = host.client(clientName);
  if (client === null) return []; // it was removed meanwhile, which may be a mistake
  const found: string[] = [];
  for (const model of models) if (!client.mayUse(model) || !(await host.hasModel(model))) found.push(model);
  return found;
}

/** True if the model was unavailable when the job was created. */
export function wasUnavailable({ data }: Pick<Job, 'data'>, model: string): boolean {
  return ((data['unavailable'] as readonly string[] | undefined) ?? []).includes(model);
}
