/**
 * The value of an environment variable that the construct sets. A missing one means a broken deployment, so
 * it fails at the start.
 */
export function requireEnv(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (!value) {
    throw new Error(
      `The environment variable ${name} is not set: this function is meant to be deployed by its construct`,
    );
  }
  return value;
}

/** A variable that the construct sets as JSON, or undefined where it set none. */
export function jsonEnv<T>(env: NodeJS.ProcessEnv, name: string): T | undefined {
  const value = env[name];
  return value ? (JSON.parse(value) as T) : undefined;
}
