/** A line of an output or error file, in the format of OpenAI's batch API. */
import type { DoneItem } from '../../store/jobs/job-store.ts';
import { breakwaterMember } from '../results.ts';

/** Includes the line feed. The body keeps its bytes. */
export function resultLine(job: string, item: DoneItem): Uint8Array {
  const { status, body, facts, error } = item;
  const start = `{"id":${JSON.stringify(`${job.replace('batch_', 'batch_req_')}_${item.n}`)},"custom_id":${JSON.stringify(item.customId)},"response":`;
  const end = `,"error":${JSON.stringify(error ?? errorOf(item))}${breakwaterMember(item)}}\n`;
  if (body === null) return Buffer.from(`${start}null${end}`);
  const head = `{"status_code":${status ?? 0},"request_id":${JSON.stringify(facts['requestId'] ?? null)},"body":`;
  return Buffer.concat([Buffer.from(start + head), body, Buffer.from(`}${end}`)]);
}

/** The error in the body of a failed response. */
function errorOf({ succeeded, body, status }: DoneItem): { code: string; message: string } | null {
  if (succeeded || body === null) return null;
  try {
    const { error } = JSON.parse(Buffer.from(body).toString('utf8')) as { error?: { code?: unknown; type?: unknown; message?: unknown } };
    if (typeof error?.message === 'string') return { code: String(error.code ?? error.type ?? status), message: error.message };
  } catch {
    // Not an error in a known format.
  }
  return { code: String(status), message: `the response had status ${status}` };
}
