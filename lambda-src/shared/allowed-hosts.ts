/** `host` is matched exactly, `*.suffix` by every name below the suffix. */
export function hostAllowed(hostname: string, allowedHosts: readonly string[]): boolean {
  const host = hostname.toLowerCase().replace(/\.$/, '');
  return allowedHosts.some(entry => {
    const allowed = entry.toLowerCase();
    return allowed.startsWith('*.')
      ? allowed.length > 2 && host.endsWith(allowed.slice(1)) && host.length > allowed.length - 1
      : host === allowed;
  });
}
