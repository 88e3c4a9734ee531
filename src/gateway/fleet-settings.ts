/** The settings that all instances of a fleet have to agree on, without any key. */
import type { Settings } from '../cluster/settings-agreement.ts';
import type { Config, LimitsConfig } from './config/index.ts';

const VALUE_LENGTH_MAX = 200;

export function fleetSettings({ providers, models, clients }: Config): Settings {
  const settings: Record<string, string> = {};
  for (const { name, limits, models: own } of Object.values(providers)) {
    settings[`provider ${name}`] = 'configured';
    addLimits(settings, `provider ${name}`, limits);
    for (const [model, { limits: ofModel }] of Object.entries(own)) addLimits(settings, `model ${name}/${model}`, ofModel);
  }
  for (const { name, tiers } of Object.values(models)) {
    const targets = tiers.map((tier) => tier.map(({ provider, model }) => `${provider}/${model}`).join(' | '));
    settings[`route ${name}`] = targets.join(', ').slice(0, VALUE_LENGTH_MAX);
  }
  for (const { name, limits, budget } of clients) {
    settings[`client ${name}`] = 'configured';
    addLimits(settings, `client ${name}`, limits);
    if (budget !== null) settings[`client ${name} budget`] = `${budget.usd} per ${budget.per}`;
  }
  return settings;
}

function addLimits(settings: Record<string, string>, owner: string, { burst, window, ...amounts }: LimitsConfig): void {
  const given = Object.entries(amounts).filter(([, amount]) => amount !== undefined);
  for (const [name, amount] of given) settings[`${owner} ${name}`] = String(amount);
  if (given.some(([name]) => name !== 'concurrency')) {
    settings[`${owner} burst`] = String(burst);
    settings[`${owner} window`] = window;
  }
}
