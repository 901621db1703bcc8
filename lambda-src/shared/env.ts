/** The value of an environment variable that the construct sets. Missing means a broken deployment, so it fails at start. */
export function requireEnv(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (!value) throw new Error(`The environment variable ${name} is not set: this function is meant to be deployed by its construct`);
  return value;
}
