import type { JobHost } from '../host.ts';
import { AnthropicApi } from './anthropic-api.ts';
import type { BatchApi } from './batch-api.ts';
import type { NativeTarget } from './native-host.ts';
import { OpenaiApi } from './openai-api.ts';
import { ProviderClient } from './provider-client.ts';

/** The batch API of a target. */
export function apiOf({ native, clock }: JobHost, { api, target: { state } }: NativeTarget, closing: AbortSignal): BatchApi {
  const client = new ProviderClient(native.transport, clock, state, closing);
  return api === 'openai' ? new OpenaiApi(client, state.basePath) : new AnthropicApi(client);
}
