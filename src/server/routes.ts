/** The route table. API paths (`/v1/…`) also match without `/v1`, and with `/v1` repeated. */
import * as admin from './admin.ts';
import { withoutQuery } from './admin-query.ts';
import { showUsage } from './usage.ts';
import * as batches from './batches.ts';
import * as files from './files.ts';
import type { Call } from './call.ts';
import { countTokens } from './count-tokens.ts';
import { showLive, showMetrics, showReady } from './health.ts';
import { DIALECTS } from '../wire/dialects.ts';
import { showEvents } from './feed.ts';
import { callGemini } from './gemini.ts';
import { infer } from './inference.ts';
import * as messageBatches from './message-batches.ts';
import { cancelResponse, createResponse, deleteResponse, listInputItems, passResponses, showResponse } from './responses.ts';
import { listModels, showModel } from './models.ts';
import { showPage, showPageFile } from './page.ts';
import { passBytes } from './pass-through.ts';

/** `open`: no authorization; `client`: a client key, or a local caller; `operator`: the admin key, or a local caller; `page`: as `operator`, or any browser if an admin key is set; `scraper`: see `/metrics`. */
export type Access = 'open' | 'client' | 'operator' | 'page' | 'scraper';

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** One `*` matches any text, including slashes, which is in `place.rest`. */
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

function remove(path: string, access: Access, run: Route['run']): Route {
  return { method: 'DELETE', path, access, run };
}

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
  remove('/v1/responses/*', 'client', deleteResponse),
  post('/v1/messages', 'client', infer(messages, 'chat', '/messages')),
  post('/v1/messages/count_tokens', 'client', countTokens),
  post('/v1/messages/batches', 'client', messageBatches.create),
  get('/v1/messages/batches', 'client', messageBatches.list),
  get('/v1/messages/batches/*/results', 'client', messageBatches.showResults),
  post('/v1/messages/batches/*/cancel', 'client', messageBatches.cancel),
  get('/v1/messages/batches/*', 'client', messageBatches.show),
  remove('/v1/messages/batches/*', 'client', messageBatches.remove),
  post('/v1beta/models/*', 'client', callGemini),
  get('/v1beta/models', 'client', listModels),
  get('/v1beta/models/*', 'client', showModel),
  get('/v1/models', 'client', listModels),
  get('/v1/models/*', 'client', showModel),
  post('/v1/models/*', 'client', callGemini),

  post('/v1/files', 'client', files.upload),
  get('/v1/files', 'client', files.list),
  get('/v1/files/*/content', 'client', files.showContent),
  get('/v1/files/*', 'client', files.show),
  remove('/v1/files/*', 'client', files.remove),
  post('/v1/batches', 'client', batches.create),
  get('/v1/batches', 'client', batches.list),
  post('/v1/batches/*/cancel', 'client', batches.cancel),
  get('/v1/batches/*', 'client', batches.show),

  post('/v1/audio/*', 'client', passBytes),
  post('/v1/images/*', 'client', passBytes),
  post('/v1/moderations', 'client', passBytes),
  post('/v1/rerank', 'client', passBytes),

  get('/health/live', 'open', showLive),
  get('/health/ready', 'open', showReady),
  // As probes of LiteLLM and of load balancers are configured.
  get('/health', 'open', showReady),
  get('/health/readiness', 'open', showReady),
  get('/health/liveliness', 'open', showLive),
  get('/health/liveness', 'open', showLive),
  get('/metrics', 'scraper', showMetrics),

  get('/', 'page', showPage),
  get('/dashboard/*', 'page', showPageFile),
  get('/admin/events', 'operator', withoutQuery(showEvents)),
  get('/admin/requests', 'operator', admin.listRequests),
  get('/admin/requests/*', 'operator', withoutQuery(admin.showRequest)),
  get('/admin/targets', 'operator', withoutQuery(admin.listTargets)),
  get('/admin/queue', 'operator', withoutQuery(admin.showQueue)),
  get('/admin/usage', 'operator', showUsage),
  get('/admin/health', 'operator', withoutQuery(admin.showHealth)),
  get('/admin/config', 'operator', withoutQuery(admin.showConfig)),
  post('/admin/targets/*/isolate', 'operator', withoutQuery(admin.isolateTarget)),
  post('/admin/targets/*/reset', 'operator', withoutQuery(admin.resetTarget)),
  post('/admin/reload', 'operator', withoutQuery(admin.reloadConfig)),
];
