import type { ItemError, Job } from '../store/jobs/job-store.ts';
import type { JobHost } from './host.ts';

/**
 * The models of a new job that its client may not use, or that are unknown: requests for these end when they run. Requests for all others
 * wait if their model is removed later.
 */
export async function unavailableModels(host: JobHost, clientName: string, models: Iterable<string>): Promise<string[]> {
  const client = host.client(clientName);
  if (client === null) return []; // it was removed meanwhile, which may be a mistake
  const found: string[] = [];
  for (const model of models) if (!client.mayUse(model) || (await host.hasModel(model)) === false) found.push(model);
  return found;
}

export function clientGone(name: string): ItemError {
  return { code: 'invalid_api_key', message: `the client ${JSON.stringify(name)} is no longer configured` };
}

export function modelNotAllowed(model: string): ItemError {
  return { code: 'model_not_allowed', message: `this client may not use the model ${JSON.stringify(model.slice(0, 200))}` };
}

/** True if the model was unavailable when the job was created. */
export function wasUnavailable({ data }: Pick<Job, 'data'>, model: string): boolean {
  return ((data['unavailable'] as readonly string[] | undefined) ?? []).includes(model);
}
