/** The settings that all instances of a fleet have to agree on; of keys, short digests. */
import { hash } from 'node:crypto';
import type { Settings } from '../cluster/settings-agreement.ts';
import type { Config, LimitsConfig } from './config/index.ts';

/** Instances send no more of a value. */
const VALUE_LENGTH_MAX = 200;
const DIGEST_LENGTH = 12;

export function fleetSettings({ providers, models, clients }: Config): Settings {
  const settings: Record<string, string> = {};
  for (const { name, apiKeys, limits, models: own } of Object.values(providers)) {
    settings[`provider ${name}`] = 'configured';
    // Its limits are those of each key.
    settings[`provider ${name} key`] = apiKeys === 'caller' ? 'caller' : digest(apiKeys.toSorted());
    addLimits(settings, `provider ${name}`, limits);
    for (const [model, { limits: ofModel }] of Object.entries(own)) addLimits(settings, `model ${name}/${model}`, ofModel);
  }
  for (const { name, tiers } of Object.values(models)) {
    const targets = tiers.map((tier) => tier.map(({ provider, model }) => `${provider}/${model}`).join(' | '));
    settings[`route ${name}`] = toValue(targets.join(', '));
  }
  for (const { name, keyHash, limits, budget } of clients) {
    settings[`client ${name}`] = 'configured';
    settings[`client ${name} key`] = digest([keyHash]);
    addLimits(settings, `client ${name}`, limits);
    if (budget !== null) settings[`client ${name} budget`] = `${budget.usd} per ${budget.per}`;
  }
  return settings;
}

/** The rest of a long text is replaced by a digest, so that texts that differ there differ. */
function toValue(text: string): string {
  if (text.length <= VALUE_LENGTH_MAX) return text;
  const end = `… (digest ${digest([text])})`;
  return `${text.slice(0, VALUE_LENGTH_MAX - end.length)}${end}`;
}

function digest(texts: readonly string[]): string {
  return hash('sha256', JSON.stringify(['settings of a fleet', ...texts]), 'base64url').slice(0, DIGEST_LENGTH);
}

function addLimits(settings: Record<string, string>, owner: string, { burst, window, ...amounts }: LimitsConfig): void {
  const given = Object.entries(amounts).filter(([, amount]) => amount !== undefined);
  for (const [name, amount] of given) settings[`${owner} ${name}`] = String(amount);
  if (given.some(([name]) => name !== 'concurrency')) {
    settings[`${owner} burst`] = String(burst);
    settings[`${owner} window`] = window;
  }
}
