/**
 * Which route an HTTP API chooses: a full match before a greedy one, a greedy one before `$default`; the method before `ANY`.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
 */
export interface RouteMatch {
  readonly routeKey: string;
  /** Percent-decoded once, as API Gateway does. */
  readonly pathParameters: Record<string, string>;
}

export function matchRoute(
  routeKeys: string[],
  method: string,
  pathname: string,
): RouteMatch | 'malformed' | undefined {
  const candidates = routeKeys
    .map(routeKey => ({
      routeKey,
      specificity: specificity(routeKey, method),
      parameters: parametersOf(routeKey, method, pathname),
    }))
    .filter(({ parameters }) => parameters !== undefined)
    .sort((a, b) => b.specificity - a.specificity);
  const best = candidates[0];
  if (!best) return undefined;
  try {
    const decoded = Object.entries(best.parameters!).map(([name, value]) => [
      name,
      decodeURIComponent(value),
    ]);
    return { routeKey: best.routeKey, pathParameters: Object.fromEntries(decoded) as Record<string, string> };
  } catch {
    return 'malformed';
  }
}

function specificity(routeKey: string, method: string): number {
  if (routeKey === '$default') return -1;
  const [routeMethod, routePath] = routeKey.split(' ');
  const segments = routePath.split('/');
  const greedy = routePath.endsWith('+}');
  const fixed = segments.filter(segment => !segment.startsWith('{')).length;
  return (greedy ? 0 : 1000) + fixed * 2 + (routeMethod === method ? 1 : 0);
}

function parametersOf(
  routeKey: string,
  method: string,
  pathname: string,
): Record<string, string> | undefined {
  if (routeKey === '$default') return {};
  const [routeMethod, routePath] = routeKey.split(' ');
  if (routeMethod !== 'ANY' && routeMethod !== method) return undefined;
  const wanted = routePath.split('/');
  const given = pathname.split('/');
  const parameters: Record<string, string> = {};
  for (const [index, segment] of wanted.entries()) {
    const greedy = /^\{(.+)\+\}$/.exec(segment);
    if (greedy) {
      const rest = given.slice(index).join('/');
      if (!rest) return undefined;
      return { ...parameters, [greedy[1]]: rest };
    }
    const name = /^\{(.+)\}$/.exec(segment)?.[1];
    if (given[index] === undefined || (name ? given[index] === '' : given[index] !== segment)) {
      return undefined;
    }
    if (name) parameters[name] = given[index];
  }
  return given.length === wanted.length ? parameters : undefined;
}
