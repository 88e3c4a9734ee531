/** The settings of cloud providers: address and credentials. */
import * as z from 'zod';
import { flag, text, word } from './fields.ts';

export const cloudKeys = {
  apiVersion: text()
    .meta({
      description:
        'Azure: the version of its API. With a date, URLs name the deployment (/openai/deployments/NAME/…); without one, the v1 API is used. Default: OPENAI_API_VERSION, if baseUrl is not set.',
      examples: ['2024-10-21'],
    })
    .optional(),
  entra: z
    .strictObject({
      tenantId: text().meta({ description: 'The directory (tenant) ID.', examples: ['${AZURE_TENANT_ID}'] }),
      clientId: text().meta({ description: 'The application (client) ID.', examples: ['${AZURE_CLIENT_ID}'] }),
      clientSecret: text().meta({ description: 'The client secret.', examples: ['${AZURE_CLIENT_SECRET}'] }),
      authority: text()
        .meta({
          description: 'The token authority. Default: https://login.microsoftonline.com.',
          examples: ['https://login.microsoftonline.us'],
        })
        .optional(),
      scope: text()
        .meta({
          description: 'The scope of the tokens. Default: https://cognitiveservices.azure.com/.default.',
          examples: ['https://ai.azure.com/.default'],
        })
        .optional(),
    })
    .describe(
      'Azure: a Microsoft Entra application; its access tokens are renewed automatically. Default: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, if there is no key.',
    )
    .optional(),
  region: text()
    .meta({ description: 'Bedrock: the AWS region. Default: AWS_REGION or AWS_DEFAULT_REGION.', examples: ['eu-central-1'] })
    .optional(),
  service: word('runtime', 'mantle').describe('Bedrock: the endpoint to use. Default: runtime.').optional(),
  claudeApi: word('invoke', 'messages')
    .describe('Bedrock, service runtime: the API for Claude models, InvokeModel or the Messages API. Default: invoke.')
    .optional(),
  aws: z
    .strictObject({
      accessKeyId: text()
        .meta({ description: 'The ID of a fixed access key. Default: none.', examples: ['${AWS_ACCESS_KEY_ID}'] })
        .optional(),
      secretAccessKey: text()
        .meta({ description: 'The secret of the access key. Default: none.', examples: ['${AWS_SECRET_ACCESS_KEY}'] })
        .optional(),
      sessionToken: text()
        .meta({ description: 'The session token of temporary credentials. Default: none.', examples: ['${AWS_SESSION_TOKEN}'] })
        .optional(),
      profile: text()
        .meta({
          description: 'A profile in the shared files, which are reloaded when they change. Default: default.',
          examples: ['production'],
        })
        .optional(),
      credentialsFile: text()
        .meta({
          description: 'The shared credentials file. Default: AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials.',
          examples: ['/run/secrets/aws-credentials'],
        })
        .optional(),
      configFile: text()
        .meta({
          description: 'The shared config file. Default: AWS_CONFIG_FILE, else ~/.aws/config.',
          examples: ['/run/secrets/aws-config'],
        })
        .optional(),
    })
    .describe(
      'Bedrock: the credentials for signing requests (SigV4): a fixed access key, or a profile. Default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else AWS_PROFILE, if there is no key.',
    )
    .optional(),
  project: text()
    .meta({ description: 'Vertex: the project. Default: GOOGLE_CLOUD_PROJECT; not needed with an API key.', examples: ['my-project'] })
    .optional(),
  location: text()
    .meta({ description: 'Vertex: the location. Default: GOOGLE_CLOUD_LOCATION, else global.', examples: ['europe-west4'] })
    .optional(),
  google: z
    .strictObject({
      keyFile: text()
        .meta({
          description: 'The JSON key file of a service account or user, relative to the folder of the config. Default: none.',
          examples: ['./service-account.json'],
        })
        .optional(),
      key: text()
        .meta({ description: 'The key as JSON text. Default: none.', examples: ['${GOOGLE_KEY_JSON}'] })
        .optional(),
      metadata: flag<never>().describe('true: use the metadata server of the machine (GCE, GKE, Cloud Run). Default: false.').optional(),
    })
    .describe('Vertex: the identity for access tokens. Default: the file in GOOGLE_APPLICATION_CREDENTIALS, if there is no key.')
    .optional(),
};
