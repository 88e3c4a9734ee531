/** `/v1/files`: batch files and their results. Uploads and downloads are streamed to and from the store. */
import { BreakwaterError } from '../core/errors.ts';
import { EXPIRY_RULE, expirySeconds } from '../jobs/expiry.ts';
import { PIECE_BYTES, type Upload } from '../jobs/files.ts';
import type { StoredFile } from '../store/jobs/job-store.ts';
import { MultipartStream } from '../wire/multipart-stream.ts';
import type { Call } from './call.ts';
import { jobsOf, pageWish, sendPieces, toList } from './jobs-call.ts';
import { StreamedBody } from './streamed-body.ts';

/** OpenAI's limit for batch files. */
const FILE_BYTES_MAX = 200 * 1024 * 1024;
/** The most bytes of a form in addition to the file. */
const FORM_BYTES_MAX = 64 * 1024;
const FIELD_BYTES_MAX = 1024;
const FILENAME_LENGTH_MAX = 255;
const LIST_MAX = 10_000;

export async function upload(call: Call): Promise<void> {
  const { exchange } = call;
  const contentType = exchange.header('content-type') ?? '';
  if (!/^\s*multipart\/form-data/i.test(contentType)) throw bad('files must be uploaded as multipart/form-data', null);
  if (exchange.header('content-encoding') !== undefined)
    throw new BreakwaterError('invalid_request', 'uploads must not have a content-encoding', { status: 415 });
  if (Number(exchange.header('content-length') ?? 0) > FILE_BYTES_MAX + FORM_BYTES_MAX) throw tooLarge();
  const receiving = await jobsOf(call).files.begin(call.client!.name);
  const body = new StreamedBody(call);
  try {
    const form = new UploadForm(receiving);
    const parts = new MultipartStream(contentType);
    for await (const piece of body.watched(exchange.bodyPieces())) {
      for (const event of parts.read(piece)) {
        if (event.kind === 'fault') throw bad(event.message, null);
        if (event.kind === 'part') form.begin(event.name, event.filename, event.isFile);
        else await form.add(event.bytes);
      }
    }
    if (!parts.isComplete) throw bad('the multipart body ends before its final boundary', null);
    const retentionMs = call.gateway.config.batch.retention;
    call.sendJson(200, toObject(await form.finish(retentionMs)));
  } catch (error) {
    await receiving.abandon();
    throw error;
  } finally {
    body.close();
  }
}

export async function list(call: Call): Promise<void> {
  const { limit, after, oldestFirst, purpose } = pageWish(call, { default: LIST_MAX, max: LIST_MAX });
  const query = {
    client: call.client!.name,
    limit,
    oldestFirst,
    ...(after !== undefined && { after }),
    ...(purpose !== undefined && { kind: purpose }),
  };
  const { entries, hasMore } = await jobsOf(call).files.list(query);
  call.sendJson(200, toList(entries.map(toObject), hasMore));
}

export async function show(call: Call): Promise<void> {
  call.sendJson(200, toObject(await jobsOf(call).files.get(call.client!.name, call.place.rest)));
}

export async function remove(call: Call): Promise<void> {
  const id = call.place.rest;
  await jobsOf(call).files.delete(call.client!.name, id);
  call.sendJson(200, { id, object: 'file', deleted: true });
}

export async function showContent(call: Call): Promise<void> {
  const { files } = jobsOf(call);
  const file = await files.get(call.client!.name, call.place.rest);
  const disposition = `attachment; filename*=UTF-8''${encodeURIComponent(file.filename)}`;
  const headers = ['content-type', 'application/octet-stream', 'content-disposition', disposition];
  await sendPieces(call, headers, files.read(file), file.bytes);
}

/** The form of an upload: its fields may come before or after the file. */
class UploadForm {
  readonly #upload: Upload;
  readonly #fields = new Map<string, string>();
  #field = '';
  #filename: string | null = null;
  #isInFile = false;
  #fileBytes = 0;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(receiving: Upload) {
    this.#upload = receiving;
  }

  begin(name: string, filename: string, isFile: boolean): void {
    this.#isInFile = name === 'file';
    this.#field = name;
    if (this.#fields.has(name) || (this.#isInFile && this.#filename !== null))
      throw bad(`the field ${name.slice(0, 40)} occurs twice`, name);
    if (this.#isInFile) {
      if (!isFile) throw bad('file must be a file', 'file');
      this.#filename = filename.slice(0, FILENAME_LENGTH_MAX) || 'file';
    } else this.#fields.set(name, '');
  }

  async add(bytes: Uint8Array): Promise<void> {
    if (!this.#isInFile) {
      const value = this.#fields.get(this.#field)! + Buffer.from(bytes).toString('utf8');
      if (value.length > FIELD_BYTES_MAX) throw bad(`the field ${this.#field.slice(0, 40)} is too long`, this.#field);
      this.#fields.set(this.#field, value);
      return;
    }
    this.#fileBytes += bytes.byteLength;
    if (this.#fileBytes > FILE_BYTES_MAX) throw tooLarge();
    this.#held.push(bytes);
    this.#heldBytes += bytes.byteLength;
    if (this.#heldBytes >= PIECE_BYTES) await this.#flush();
  }

  async finish(retentionMs: number): Promise<StoredFile> {
    if (this.#filename === null) throw bad('file is missing', 'file');
    const purpose = this.#fields.get('purpose');
    if (purpose === undefined) throw bad('purpose is missing', 'purpose');
    if (purpose !== 'batch') {
      const got = JSON.stringify(purpose.slice(0, 40));
      throw bad(`purpose must be batch; upload other files to the provider (got ${got})`, 'purpose');
    }
    const expiresInMs = this.#expiry() ?? retentionMs;
    await this.#flush();
    return this.#upload.finish({ purpose, filename: this.#filename, expiresAtMs: this.#upload.createdAtMs + expiresInMs });
  }

  #expiry(): number | null {
    const [anchor, seconds] = [this.#fields.get('expires_after[anchor]'), this.#fields.get('expires_after[seconds]')];
    if (anchor === undefined && seconds === undefined) return null;
    const found = expirySeconds(anchor, /^\d{1,9}$/.test(seconds ?? '') ? Number(seconds) : null);
    if (found === null) throw bad(`expires_after must be ${EXPIRY_RULE}`, 'expires_after');
    return found * 1000;
  }

  /** Writes a copy to the store, as the chunks may be views of larger buffers. */
  async #flush(): Promise<void> {
    if (this.#heldBytes === 0) return;
    const piece = new Uint8Array(this.#heldBytes);
    let at = 0;
    for (const part of this.#held) {
      piece.set(part, at);
      at += part.byteLength;
    }
    this.#held = [];
    this.#heldBytes = 0;
    await this.#upload.write(piece);
  }
}

function toObject(file: StoredFile) {
  const { id, bytes, createdAtMs, expiresAtMs, filename, purpose } = file;
  const [created, expires] = [Math.floor(createdAtMs / 1000), Math.floor(expiresAtMs / 1000)];
  return {
    id,
    object: 'file',
    bytes,
    created_at: created,
    expires_at: expires,
    filename,
    purpose,
    status: 'processed',
    status_details: null,
  };
}

function tooLarge(): BreakwaterError {
  return new BreakwaterError('request_too_large', `a batch file must not be larger than ${FILE_BYTES_MAX / 1024 / 1024} MB`, {
    param: 'file',
  });
}

function bad(message: string, param: string | null): BreakwaterError {
  return new BreakwaterError('invalid_request', message, param === null ? {} : { param });
}
