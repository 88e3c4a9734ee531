/** The input schema of `models`: lists of targets in tiers. */
import * as z from 'zod';
import { amount, duration, flag, text } from './fields.ts';
import { policyKeys } from './provider-schema.ts';

const targetName = z
  .string({ error: 'must be a target, provider/model' })
  .regex(/^[^/\s]+\/\S+$/, { error: 'must be a target, provider/model' });

const targetSchema = z
  .strictObject({
    target: targetName.meta({ description: 'The target, as provider/model.', examples: ['openai/gpt-4o-mini'] }),
    weight: amount(Number.MIN_VALUE, 1e6, 'must be a number above 0')
      .meta({ description: 'The share of requests relative to the other targets of the tier, above 0. Default: 1.', examples: [3] })
      .optional(),
    set: z
      .record(z.string(), z.unknown(), { error: 'must be an object of request fields' })
      .meta({ description: 'Top-level request fields to set for this target. Default: none.', examples: [{ temperature: 0 }] })
      .optional(),
    drop: z
      .array(text(), { error: 'must be a list of request fields' })
      .meta({ description: 'Top-level request fields to remove for this target. Default: none.', examples: [['logit_bias']] })
      .optional(),
    equivalent: flag<never>().describe('Its embeddings are interchangeable with those of the other targets. Default: false.').optional(),
    prefill: flag<never>().describe("Whether it continues a partial response. Default: the provider's.").optional(),
  })
  .meta({ id: 'Target', description: '`provider/model`, or this object: a target with adjustments of its requests.' });

const oneTarget = z.union([targetName, targetSchema], { error: 'must be a target: provider/model, or an object with target' });
const tier = z.array(oneTarget).min(1, { error: 'must not be an empty tier' }).max(1000);
const targets = z
  .array(z.union([oneTarget, tier], { error: 'must be a target (provider/model, or an object with target) or a list of them' }), {
    error: 'must be a list of targets',
  })
  .min(1, { error: 'must name at least one target' })
  .max(1000, { error: 'must name at most 1000 targets' })
  .meta({ id: 'Targets', description: 'Tried in order; a nested list is one tier, shared by weight.' });

/** The default of `patience`. */
export const defaultPatienceMs = 1000;

const modelObject = z
  .strictObject({
    targets,
    patience: duration('0ms', '1h')
      .meta({
        description:
          'How long to wait for a better tier before using a worse one. Default: 1s; before a local tier below remote ones, until the deadline.',
        examples: ['2s'],
      })
      .optional(),
    ...policyKeys,
  })
  .meta({ id: 'Model', description: 'A list of targets, or this object: targets in tiers, with policies of their own.' });

export const modelSchema = z.union([targets, modelObject], { error: 'must be a list of targets, or an object with targets' });

export type ModelInput = z.output<typeof modelSchema>;
export type TargetInput = z.output<typeof oneTarget>;
