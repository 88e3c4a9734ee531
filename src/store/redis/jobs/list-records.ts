import type { ListQuery, Page } from '../../jobs/job-store.ts';
import type { JobLink } from './job-link.ts';
import { toFields, type Fields } from './records.ts';

/** Records read in one call. */
const PAGE = 200;

interface Listed<T> {
  readonly link: JobLink;
  readonly kind: 'file' | 'job';
  readonly toEntry: (id: string, fields: Fields) => T;
  readonly isShown: (entry: T) => boolean;
}

/** A page of a client's entries by cursor; null: the cursor names none of them. */
export async function listRecords<T>(listed: Listed<T>, query: ListQuery): Promise<Page<T> | null> {
  const { client, after, before, limit } = query;
  const oldestFirst = query.oldestFirst === true;
  // Before a cursor the entries next to it are wanted: they are read backwards.
  const isBackward = before !== undefined && after === undefined;
  const ascending = oldestFirst !== isBackward;
  const cursor = after ?? before;
  let from: string | null = cursor === undefined ? (ascending ? '-inf' : '+inf') : await seqOf(listed, client, cursor);
  if (from === null) return null;
  const found: T[] = [];
  while (found.length <= limit) {
    const reply = (await listed.link.run('page', listed.kind, client, from, ascending ? 1 : 0, PAGE)) as readonly (readonly [
      Buffer,
      unknown,
    ])[];
    for (const [id, record] of reply) {
      const fields = toFields(record);
      if (fields === null) continue;
      from = fields.get('seq')!;
      const entry = listed.toEntry(String(id), fields);
      if (listed.isShown(entry)) found.push(entry);
    }
    if (reply.length < PAGE) break;
  }
  const entries = found.slice(0, limit);
  return { entries: isBackward ? entries.reverse() : entries, hasMore: found.length > limit };
}

/** The cursor has to be an entry that is complete, of this client. */
async function seqOf<T>({ link, kind }: Listed<T>, client: string, id: string): Promise<string | null> {
  const fields = toFields(await link.record(kind, id));
  if (fields?.get('client') !== client) return null;
  const isShown = kind === 'file' ? fields.get('complete') === '1' : fields.get('state') !== 'receiving';
  return isShown ? fields.get('seq')! : null;
}
