/** Every path that is answered. API paths (`/v1/…`) also answer without `/v1`, and with it doubled. */
import * as admin from './admin.ts';
import type { Call } from './call.ts';
import { showLive, showMetrics, showReady } from './health.ts';
import { showEvents } from './feed.ts';
import { infer } from './inference.ts';
import { listModels, showModel } from './models.ts';
import { showPage, showPageFile } from './page.ts';
import { passBytes } from './pass-through.ts';

/** `open`: anybody; `client`: a client's key, or looking local; `operator`: the admin key, or looking local; `page`: as `operator`, or any browser where an admin key is set; `scraper`: see `/metrics`. */
export type Access = 'open' | 'client' | 'operator' | 'page' | 'scraper';

export interface Route {
  readonly method: 'GET' | 'POST';
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

export const routes: readonly Route[] = [
  post('/v1/chat/completions', 'client', infer('chat', '/chat/completions')),
  post('/v1/completions', 'client', infer('completions', '/completions')),
  post('/v1/embeddings', 'client', infer('embeddings', '/embeddings')),
  get('/v1/models', 'client', listModels),
  get('/v1/models/*', 'client', showModel),

  post('/v1/audio/*', 'client', passBytes),
  post('/v1/images/*', 'client', passBytes),
  post('/v1/moderations', 'client', passBytes),
  post('/v1/rerank', 'client', passBytes),

  get('/health/live', 'open', showLive),
  get('/health/ready', 'open', showReady),
  get('/metrics', 'scraper', showMetrics),

  get('/', 'page', showPage),
  get('/dashboard/*', 'page', showPageFile),
  get('/admin/events', 'operator', showEvents),
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
export const laterPaths: readonly string[] = [
  '/v1/messages',
  '/v1/responses',
  '/v1/files',
  '/v1/batches',
  '/v1beta',
  '/anthropic/v1',
  '/admin/usage',
];
