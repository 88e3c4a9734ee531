/** Every path that is answered. API paths (`/v1/…`) also answer without `/v1`, and with it doubled. */
import * as admin from './admin.ts';
import type { Call } from './call.ts';
import { countTokens } from './count-tokens.ts';
import { showLive, showMetrics, showReady } from './health.ts';
import { DIALECTS } from '../wire/dialects.ts';
import { callGemini } from './gemini.ts';
import { infer } from './inference.ts';
import { cancelResponse, createResponse, deleteResponse, listInputItems, passResponses, showResponse } from './responses.ts';
import { listModels, showModel } from './models.ts';
import { passBytes } from './pass-through.ts';

/** `open`: anybody; `client`: a client's key, or looking local; `operator`: the admin key, or looking local; `scraper`: see `/metrics`. */
export type Access = 'open' | 'client' | 'operator' | 'scraper';

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** One `*` stands for any text, slashes included, and is found in `place.rest`. */
  readonly path: string;
  readonly access: Access;
  readonly run: (call: Call) => void | Promise<void>;
}

function get(path: string, access: Access, run: Route['run']): Route {
  return { method: 'GET', path, access, run };
}

function post(path: string, access: Access, run: Route['run']): Route {
  return { method: 'POST', path, access, run };
}

const chat = DIALECTS['openai-chat'];
const messages = DIALECTS['anthropic-messages'];

export const routes: readonly Route[] = [
  post('/v1/chat/completions', 'client', infer(chat, 'chat', '/chat/completions')),
  post('/v1/completions', 'client', infer(chat, 'completions', '/completions')),
  post('/v1/embeddings', 'client', infer(chat, 'embeddings', '/embeddings')),
  post('/v1/responses', 'client', createResponse),
  post('/v1/responses/compact', 'client', passResponses),
  post('/v1/responses/input_tokens', 'client', passResponses),
  get('/v1/responses/*/input_items', 'client', listInputItems),
  post('/v1/responses/*/cancel', 'client', cancelResponse),
  get('/v1/responses/*', 'client', showResponse),
  { method: 'DELETE', path: '/v1/responses/*', access: 'client', run: deleteResponse },
  post('/v1/messages', 'client', infer(messages, 'chat', '/messages')),
  post('/v1/messages/count_tokens', 'client', countTokens),
  post('/v1beta/models/*', 'client', callGemini),
  get('/v1beta/models', 'client', listModels),
  get('/v1beta/models/*', 'client', showModel),
  get('/v1/models', 'client', listModels),
  get('/v1/models/*', 'client', showModel),

  post('/v1/audio/*', 'client', passBytes),
  post('/v1/images/*', 'client', passBytes),
  post('/v1/moderations', 'client', passBytes),
  post('/v1/rerank', 'client', passBytes),

  get('/health/live', 'open', showLive),
  get('/health/ready', 'open', showReady),
  get('/metrics', 'scraper', showMetrics),

  get('/', 'operator', admin.showRoot),
  get('/admin/requests', 'operator', admin.listRequests),
  get('/admin/requests/*', 'operator', admin.showRequest),
  get('/admin/targets', 'operator', admin.listTargets),
  get('/admin/queue', 'operator', admin.showQueue),
  get('/admin/config', 'operator', admin.showConfig),
  post('/admin/targets/*/isolate', 'operator', admin.isolateTarget),
  post('/admin/targets/*/reset', 'operator', admin.resetTarget),
  post('/admin/reload', 'operator', admin.reloadConfig),
];

/** What a later version answers, with everything below it. Whoever builds one deletes its line here. */
export const laterPaths: readonly string[] = ['/v1/files', '/v1/batches', '/v1/messages/batches', '/admin/usage'];
