/** Conversations of the Responses API: expands references to stored responses for targets that do not have them. */
import { BreakwaterError } from '../core/errors.ts';
import type { SlicedWork } from '../core/sliced-work.ts';
import type { ResponseHistory } from '../jobs/host.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import { NO_PATH_FACTS } from '../wire/decode-request.ts';
import { DIALECTS, RESPONSE_HISTORY } from '../wire/dialects.ts';
import { scanInSlices } from '../wire/scan-in-slices.ts';
import type { ResponseStore } from './response-store.ts';

const dialect = DIALECTS['openai-responses'];
/** The largest request and response that are stored, in bytes. */
export const STORED_BYTES_MAX = 256 * 1024;

type HistoryReference = ReturnType<typeof RESPONSE_HISTORY.readHistoryReference>;

export class ConversationHistory implements ResponseHistory {
  readonly #responses: ResponseStore;
  readonly #slices: SlicedWork;

  constructor(responses: ResponseStore, slices: SlicedWork) {
    this.#responses = responses;
    this.#slices = slices;
  }

  of(client: string, body: Uint8Array, hold?: (bytes: number) => void): Promise<GatewayRequest['history']> {
    if (body.byteLength > STORED_BYTES_MAX) return Promise.resolve(undefined);
    return this.follow(client, body, RESPONSE_HISTORY.readHistoryReference(body), hold);
  }

  /** `hold` is called with the bytes that are read, and may throw to refuse. */
  async follow(
    client: string,
    body: Uint8Array,
    { previous }: HistoryReference,
    hold?: (bytes: number) => void,
  ): Promise<GatewayRequest['history']> {
    if (previous === null) return undefined;
    const responses = await this.#responses.conversation(client, previous, hold);
    if (responses === null) return undefined;
    const writer = new RESPONSE_HISTORY.HistoryWriter(body, responses);
    await this.#slices.run(() => writer.step());
    const bytes = writer.take();
    const decoded = dialect.request.decode('chat', bytes, await scanInSlices(bytes, this.#slices), NO_PATH_FACTS);
    if (!decoded.ok) throw new BreakwaterError('invalid_request', decoded.message);
    return { previous, maker: responses.at(-1)!.maker, body: decoded.body };
  }

  begin(client: string, id: string, body: Uint8Array): void {
    if (body.byteLength > STORED_BYTES_MAX) return;
    const { previous, input } = RESPONSE_HISTORY.readHistoryReference(body);
    this.#responses.put(client, id, { previous, input, response: { id, status: 'queued' }, maker: '' }, body.byteLength);
  }

  async restore(client: string, id: string, body: Uint8Array): Promise<boolean> {
    if (body.byteLength > STORED_BYTES_MAX || (await this.#responses.get(client, id)) !== null) return false;
    this.begin(client, id, body);
    return true;
  }

  async end(client: string, id: string, response: Readonly<Record<string, unknown>>, maker: string): Promise<void> {
    const begun = await this.#responses.get(client, id);
    const { length } = JSON.stringify(response);
    if (begun === null || length > STORED_BYTES_MAX) return;
    this.#responses.put(client, id, { ...begun, response, maker }, STORED_BYTES_MAX + length);
  }

  delete(client: string, id: string): void {
    this.#responses.delete(client, id);
  }
}
