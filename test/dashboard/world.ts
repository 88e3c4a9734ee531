/** A whole gateway with telemetry and dashboard on a socket, as `breakwater serve` makes it, for tests that look at its page. */
import { Agent, request, type OutgoingHttpHeaders } from 'node:http';
import { EventBus } from '../../src/core/events.ts';
import { parseConfig, type Config, type ConfigInput } from '../../src/gateway/config/index.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { operatorStatus } from '../../src/gateway/operator-status.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { startServer } from '../../src/server/server.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createTelemetry, type Telemetry } from '../../src/telemetry/telemetry.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';

export interface WatchedGateway {
  readonly url: string;
  readonly port: number;
  readonly gateway: Gateway;
  readonly telemetry: Telemetry;
  /** Takes a changed config over. */
  reload(input: ConfigInput): Promise<void>;
  /** A small chat request; resolves with its status when the whole answer has come. */
  ask(body?: Record<string, unknown>, headers?: Record<string, string>, signal?: AbortSignal): Promise<number>;
  close(): Promise<void>;
}

export function configOf(input: ConfigInput): Config {
  const parsed = parseConfig(input, { source: 'library' });
  if (!parsed.ok) throw new Error(parsed.faults.map(({ path, message }) => `${path}: ${message}`).join('\n'));
  return parsed.config;
}

/** `input.server.port` 0, the default here: any free one. */
export async function startWatched(input: ConfigInput): Promise<WatchedGateway> {
  const config = configOf({ ...input, server: { port: 0, drainTimeout: '1s', ...input.server } });
  const clock = systemClock;
  const random = createSeededRandom(1);
  const events = new EventBus((error) => {
    throw error;
  });
  const telemetry = createTelemetry({
    logs: { level: 'silent' },
    requests: { file: '' },
    clock,
    secrets: config.secrets,
    snapshot: () => gateway.snapshot(),
    status: () => operatorStatus(gateway, false),
  });
  telemetry.attach(events);
  const store = await openStore('memory:', { clock, onWarning: () => {} });
  const gateway = await createGateway({ config, clock, random, store, events });
  const { timelines, feed, metrics } = telemetry;
  const scrape = async () => ({ contentType: metrics.contentType, body: await metrics.scrape() });
  const server = await startServer({ gateway, clock, random, timelines, feed, scrape });
  events.emit({ type: 'lifecycle', at: clock.now(), state: 'started', detail: server.url, facts: { version: '0.1.0', store: 'memory:' } });
  return {
    url: server.url,
    port: server.port,
    gateway,
    telemetry,
    async reload(next) {
      const changed = configOf(next);
      await gateway.reload(changed);
      telemetry.update({ secrets: changed.secrets });
    },
    async ask(body = {}, headers = {}, signal) {
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({
          model: 'summary',
          messages: [{ role: 'user', content: 'Say something about harbours.' }],
          max_tokens: 40,
          ...body,
        }),
        ...(signal !== undefined && { signal }),
      });
      await response.arrayBuffer();
      return response.status;
    },
    async close() {
      await server.drain();
      await telemetry.close();
    },
  };
}

/** So many small requests over a few connections, quicker than `fetch` can; each must be answered with 200. */
export async function askMany(port: number, count: number, more: Record<string, string> = {}): Promise<void> {
  const connections = 40;
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  let left = count;
  const caller = async (): Promise<void> => {
    while (left-- > 0) await askOnce(port, agent, { ...headers, ...more });
  };
  await Promise.all(Array.from({ length: connections }, caller));
  agent.destroy();
}

const body = JSON.stringify({ model: 'summary', messages: [{ role: 'user', content: 'Ahoy.' }], max_tokens: 1 });
const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };

function askOnce(port: number, agent: Agent, headers: OutgoingHttpHeaders): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`))));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}
