/** Reads the replies of the job scripts as the types of the job store. */
import type { DoneItem, ItemError, Job, JobState, LeasedItem, NewJob, OpenJob, StoredFile } from '../../jobs/job-store.ts';

export type Reply = Buffer | number | null | readonly Reply[];
export type Fields = ReadonlyMap<string, string>;

const DATA = 'd:';

/** Name and value in turn; null: there is no such record. */
export function toFields(reply: unknown): Fields | null {
  const list = reply as readonly Buffer[];
  if (list === null || list.length === 0) return null;
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < list.length; i += 2) fields.set(String(list[i]), String(list[i + 1]));
  return fields;
}

export function toFile(id: string, fields: Fields): StoredFile {
  const job = fields.get('job');
  return {
    id,
    client: fields.get('client')!,
    purpose: fields.get('purpose')!,
    filename: fields.get('filename')!,
    bytes: Number(fields.get('bytes')),
    createdAtMs: Number(fields.get('created')),
    expiresAtMs: Number(fields.get('expires')),
    results: job === undefined ? null : { job, succeeded: fields.get('succeeded') === '1' },
  };
}

/** What a job begins with, as fields in turn. */
export function jobFields(job: NewJob, state: JobState): string[] {
  const { kind, dialect, path, priority, createdAtMs, endsAtMs, data } = job;
  const fixed = { state, ending: '', kind, dialect, path, priority, created: String(createdAtMs), ends: String(endsAtMs) };
  return [...Object.entries(fixed).flat(), ...dataFields(data)];
}

/** One field for each member, so that a change sets only what it names. */
export function dataFields(data: Job['data']): string[] {
  const fields: string[] = [];
  for (const [name, value] of Object.entries(data)) {
    const text = JSON.stringify(value) as string | undefined;
    if (text !== undefined) fields.push(DATA + name, text);
  }
  return fields;
}

export function toJob(id: string, fields: Fields): Job {
  const data: Record<string, unknown> = {};
  for (const [name, value] of fields) if (name.startsWith(DATA)) data[name.slice(DATA.length)] = JSON.parse(value);
  const ending = fields.get('ending')!;
  return {
    id,
    kind: fields.get('kind')!,
    client: fields.get('client')!,
    state: fields.get('state') as JobState,
    ending: ending === '' ? null : (ending as 'expired' | 'cancelled'),
    dialect: fields.get('dialect')!,
    path: fields.get('path')!,
    priority: fields.get('priority')!,
    createdAtMs: Number(fields.get('created')),
    endsAtMs: Number(fields.get('ends')),
    total: Number(fields.get('total')),
    succeeded: Number(fields.get('succeeded')),
    failed: Number(fields.get('failed')),
    costUsd: Number(fields.get('cost') ?? 0),
    priced: Number(fields.get('priced') ?? 0),
    data,
  };
}

export function toOpenJob(reply: Reply): OpenJob {
  const [id, fields, models] = reply as readonly [Buffer, readonly Buffer[], readonly Buffer[]];
  return { ...toJob(String(id), toFields(fields)!), models: models.map(String) };
}

/** `values`: seven for each item. */
export function toLeasedItems(job: string, values: readonly Reply[]): LeasedItem[] {
  const items: LeasedItem[] = [];
  for (let i = 0; i + 6 < values.length; i += 7) {
    const [n, lease, customId, body, strikes, rounds, repeated] = values.slice(i, i + 7);
    items.push({
      job,
      n: Number(n),
      lease: Number(lease),
      customId: String(customId),
      body: body as Buffer,
      strikes: Number(strikes),
      rounds: Number(rounds),
      repeated: Number(repeated),
    });
  }
  return items;
}

/** `values`: eight for each item. */
export function toDoneItems(values: readonly Reply[]): DoneItem[] {
  const items: DoneItem[] = [];
  for (let i = 0; i + 7 < values.length; i += 8) {
    const [n, customId, succeeded, repeated, status, error, facts, body] = values.slice(i, i + 8);
    items.push({
      n: Number(n),
      customId: String(customId),
      succeeded: Number(succeeded) === 1,
      repeated: Number(repeated),
      status: String(status) === '' ? null : Number(status),
      facts: String(facts) === '' ? {} : (JSON.parse(String(facts)) as DoneItem['facts']),
      body: body as Buffer | null,
      error: String(error) === '' ? null : (JSON.parse(String(error)) as ItemError),
    });
  }
  return items;
}
