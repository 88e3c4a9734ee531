/** The settings of cloud providers: address and credentials. */
import * as z from 'zod';
import { flag, text, word } from './fields.ts';

export const cloudKeys = {
  apiVersion: text()
    .describe(
      'Azure: the version of its API. With a date the deployments style is used, else the v1 style. Default: OPENAI_API_VERSION, if baseUrl is not set.',
    )
    .optional(),
  entra: z
    .strictObject({
      tenantId: text().describe('The directory (tenant) ID.'),
      clientId: text().describe('The application (client) ID.'),
      clientSecret: text().describe('The client secret.'),
      authority: text().describe('The token authority. Default: https://login.microsoftonline.com.').optional(),
      scope: text().describe('The scope of the tokens. Default: https://cognitiveservices.azure.com/.default.').optional(),
    })
    .describe(
      'Azure: a Microsoft Entra application; its access tokens are renewed automatically. Default: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, if there is no key.',
    )
    .optional(),
  region: text().describe('Bedrock: the AWS region. Default: AWS_REGION or AWS_DEFAULT_REGION.').optional(),
  service: word('runtime', 'mantle').describe('Bedrock: the endpoint to use. Default: runtime.').optional(),
  claudeApi: word('invoke', 'messages')
    .describe('Bedrock, service runtime: the API for Claude models, InvokeModel or the Messages API. Default: invoke.')
    .optional(),
  aws: z
    .strictObject({
      accessKeyId: text().describe('The ID of a fixed access key.').optional(),
      secretAccessKey: text().describe('The secret of the access key.').optional(),
      sessionToken: text().describe('The session token of temporary credentials.').optional(),
      profile: text().describe('A profile in the shared files, which are reloaded when they change. Default: default.').optional(),
      credentialsFile: text()
        .describe('The shared credentials file. Default: AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials.')
        .optional(),
      configFile: text().describe('The shared config file. Default: AWS_CONFIG_FILE, else ~/.aws/config.').optional(),
    })
    .describe(
      'Bedrock: the credentials for signing requests (SigV4): a fixed access key, or a profile. Default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else AWS_PROFILE, if there is no key.',
    )
    .optional(),
  project: text().describe('Vertex: the project. Default: GOOGLE_CLOUD_PROJECT; not needed with an API key.').optional(),
  location: text().describe('Vertex: the location. Default: GOOGLE_CLOUD_LOCATION, else global.').optional(),
  google: z
    .strictObject({
      keyFile: text().describe('The JSON key file of a service account or user, relative to the folder of the config.').optional(),
      key: text().describe('The key as JSON text.').optional(),
      metadata: flag<never>().describe('true: use the metadata server of the machine (GCE, GKE, Cloud Run).').optional(),
    })
    .describe('Vertex: the identity for access tokens. Default: the file in GOOGLE_APPLICATION_CREDENTIALS, if there is no key.')
    .optional(),
};
