/** `breakwater check --online`: asks each provider for its models, and each target for one token. */
import type { Config } from '../../gateway/config/index.ts';
import { systemClock } from '../../gateway/system-clock.ts';
import { createHttpTransport } from '../../transport/http-transport.ts';
import { SigningTransport } from '../../transport/signing-transport.ts';
import { table } from '../text-table.ts';
import { checkProvider, type ProviderCheck } from './provider-check.ts';
import { callTargets, type TargetCall } from './target-calls.ts';

export interface OnlineFlags {
  readonly calls?: boolean;
  readonly json?: boolean;
  /** In milliseconds. */
  readonly timeout: number;
}

/** Prints the results. False: a configured target cannot work. */
export async function checkOnline(config: Config, { calls = false, json = false, timeout }: OnlineFlags): Promise<boolean> {
  const transport = await createHttpTransport({ clock: systemClock, env: process.env, client: config.server.httpClient });
  try {
    const targets = targetsOf(config);
    const parts = { transport, clock: systemClock, timeoutMs: timeout };
    const asked = Object.values(config.providers).map((provider) => checkProvider(provider, wantedOf(provider.name, targets), parts));
    const providers = (await Promise.all(asked)).flat();
    const called = calls ? await callTargets(config, targets, new SigningTransport(transport, systemClock), timeout) : [];
    const isFine = verdictOf(providers, called);
    process.stdout.write(json ? `${JSON.stringify({ ok: isFine, providers, targets: called }, null, 2)}\n` : render(providers, called));
    return isFine;
  } finally {
    await transport.close();
  }
}

/** Every target of the routes, once. */
function targetsOf({ models }: Config): string[] {
  const all = Object.values(models).flatMap(({ tiers }) => tiers.flat().map(({ provider, model }) => `${provider}/${model}`));
  return [...new Set(all)];
}

function wantedOf(provider: string, targets: readonly string[]): string[] {
  const own = targets.filter((target) => target.startsWith(`${provider}/`) && !target.includes('*'));
  return own.map((target) => target.slice(provider.length + 1));
}

/** A call is stronger evidence than a list, which may leave out models that work. */
function verdictOf(providers: readonly ProviderCheck[], called: readonly TargetCall[]): boolean {
  if (called.some(({ works }) => works === 'no')) return false;
  const proven = new Set(called.filter(({ works }) => works === 'yes').map(({ target }) => target));
  return providers.every(({ provider, works, missing, models }) => {
    if (works !== 'no') return true;
    return models !== null && missing.length > 0 && missing.every((model) => proven.has(`${provider}/${model}`));
  });
}

const MARKS = { yes: 'ok', no: 'FAILS', unknown: '?' } as const;

function render(providers: readonly ProviderCheck[], called: readonly TargetCall[]): string {
  const rows = providers.map((check) => [
    check.key === null || check.key === 1 ? check.provider : `${check.provider} (key ${check.key})`,
    MARKS[check.works],
    time(check.latencyMs),
    check.models === null ? '-' : String(check.models),
    check.missing.length === 0 ? '-' : check.missing.join(', '),
    check.limits.join(', ') || '-',
  ]);
  const tables = [table([['provider', 'works', 'latency', 'models', 'missing', 'limits'], ...rows])];
  if (called.length > 0) {
    const lines = called.map((call) => [call.target, MARKS[call.works], time(call.latencyMs), call.limits.join(', ') || '-']);
    tables.push(table([['target', 'works', 'latency', 'limits'], ...lines]));
  }
  const cures = [
    ...providers.flatMap(({ provider, cures: own }) => own.map((cure) => `${provider}: ${cure}`)),
    ...called.flatMap(({ target, cure }) => (cure === '' ? [] : [`${target}: ${cure}`])),
  ];
  return `${tables.join('\n')}${cures.length === 0 ? '' : `\n${cures.map((cure) => `- ${cure}\n`).join('')}`}`;
}

function time(ms: number | null): string {
  return ms === null ? '-' : `${ms} ms`;
}
