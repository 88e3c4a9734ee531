/** The settings of providers that are clouds: how they are addressed, and as whom. */
import * as z from 'zod';
import { flag, text, word } from './fields.ts';

export const cloudKeys = {
  apiVersion: text()
    .describe(
      'Azure: the version of its API. With a date the deployments style is used, else the v1 style. Default: OPENAI_API_VERSION, if baseUrl is left alone.',
    )
    .optional(),
  entra: z
    .strictObject({
      tenantId: text().describe('The directory (tenant) of the application.'),
      clientId: text().describe('The application.'),
      clientSecret: text().describe('Its secret.'),
      authority: text().describe('Where tokens are given. Default: https://login.microsoftonline.com.').optional(),
      scope: text().describe('What tokens are asked for. Default: https://cognitiveservices.azure.com/.default.').optional(),
    })
    .describe(
      'Azure: an application of Microsoft Entra, whose access tokens are renewed. Default: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, if there is no key.',
    )
    .optional(),
  region: text().describe('Bedrock: the AWS region. Default: AWS_REGION or AWS_DEFAULT_REGION.').optional(),
  service: word('runtime', 'mantle').describe('Bedrock: which of its two endpoints is asked. Default: runtime.').optional(),
  claudeApi: word('invoke', 'messages')
    .describe('Bedrock, service runtime: what Claude models are asked through, InvokeModel or the Messages API. Default: invoke.')
    .optional(),
  aws: z
    .strictObject({
      accessKeyId: text().describe('A fixed access key.').optional(),
      secretAccessKey: text().describe('Its secret.').optional(),
      sessionToken: text().describe('Of temporary credentials.').optional(),
      profile: text().describe('A profile of the shared files, which are read again as they change. Default: default.').optional(),
      credentialsFile: text().describe('Default: AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials.').optional(),
      configFile: text().describe('Default: AWS_CONFIG_FILE, else ~/.aws/config.').optional(),
    })
    .describe(
      'Bedrock: credentials that requests are signed with (SigV4): a fixed access key, or a profile. Default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else AWS_PROFILE, if there is no key.',
    )
    .optional(),
  project: text().describe('Vertex: the project. Default: GOOGLE_CLOUD_PROJECT; with an API key none is needed.').optional(),
  location: text().describe('Vertex: the location. Default: GOOGLE_CLOUD_LOCATION, else global.').optional(),
  google: z
    .strictObject({
      keyFile: text().describe('The JSON file of a service account or of a signed-in user, from the folder of the config.').optional(),
      key: text().describe('The same as a JSON text.').optional(),
      metadata: flag<never>().describe('true: the tokens of the machine (GCE, GKE, Cloud Run) are used.').optional(),
    })
    .describe(
      'Vertex: as whom access tokens are asked for. Default: the file that GOOGLE_APPLICATION_CREDENTIALS names, if there is no key.',
    )
    .optional(),
};
