import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import type { HttpFront } from './http-api';
import type { AlarmOptions } from './monitoring';
import { InvalidPropError, validateInteger } from './validate';

/** One alarm of a block. Its id and threshold are public: users refer to them. */
export interface AlarmRule {
  readonly id: string;
  readonly metric: cloudwatch.IMetric;
  /** The value at which it goes into alarm. */
  readonly threshold: number;
  /** In how many of how many periods. */
  readonly datapoints: [reached: number, evaluated: number];
  /** What it means, in one sentence. */
  readonly why: string;
  /** The heading of docs/runbook.md that says what to do. */
  readonly runbook: string;
}

const FIVE_MINUTES = Duration.minutes(5);
const ONE_MINUTE = Duration.minutes(1);

/** Makes a block's alarms. Missing data is not an alarm: a block that nobody uses is healthy. */
export function createAlarms(
  block: Construct,
  rules: AlarmRule[],
  options: AlarmOptions = {},
): cloudwatch.Alarm[] {
  const { overrides = {}, topic } = options;
  const known = rules.map(({ id }) => id);
  for (const id of Object.keys(overrides)) {
    if (!known.includes(id)) {
      throw new InvalidPropError(
        block,
        `\`overrides\` names the alarm "${id}", and there is none: the ids are ${known.join(', ')}`,
      );
    }
    const { evaluationPeriods, datapointsToAlarm } = overrides[id];
    validateInteger(block, `overrides.${id}.evaluationPeriods`, evaluationPeriods, 1, 1000);
    validateInteger(
      block,
      `overrides.${id}.datapointsToAlarm`,
      datapointsToAlarm,
      1,
      evaluationPeriods ?? 1000,
    );
  }
  const [parent, name] = options.scope ? [options.scope, `${block.node.id}Alarms`] : [block, 'Alarms'];
  if (parent.node.tryFindChild(name)) {
    throw new InvalidPropError(block, '`addAlarms` was called before: call it once, with all options');
  }
  const scope = new Construct(parent, name);
  return rules.flatMap(rule => {
    const override = overrides[rule.id] ?? {};
    if (override.enabled === false) return [];
    const evaluationPeriods = override.evaluationPeriods ?? rule.datapoints[1];
    const alarm = new cloudwatch.Alarm(scope, rule.id, {
      alarmDescription: `${block.node.path}: ${rule.why} What to do: docs/runbook.md, "${rule.runbook}".`,
      metric: rule.metric,
      threshold: override.threshold ?? rule.threshold,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods,
      datapointsToAlarm:
        override.datapointsToAlarm ??
        (override.evaluationPeriods === undefined ? rule.datapoints[0] : evaluationPeriods),
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    if (topic) {
      alarm.addAlarmAction(new actions.SnsAction(topic));
      alarm.addOkAction(new actions.SnsAction(topic));
    }
    if (options.actions) alarm.addAlarmAction(...options.actions);
    return [alarm];
  });
}

/** For every function: it fails, or it is throttled. Once is a blip. */
export function functionRules(functions: lambda.IFunction[]): AlarmRule[] {
  return functions.flatMap(fn => [
    {
      id: `${fn.node.id}Errors`,
      metric: fn.metricErrors({ period: FIVE_MINUTES }),
      threshold: 1,
      datapoints: [2, 3] as [number, number],
      why: 'The function fails again and again.',
      runbook: 'A function fails',
    },
    {
      id: `${fn.node.id}Throttles`,
      metric: fn.metricThrottles({ period: FIVE_MINUTES }),
      threshold: 1,
      datapoints: [2, 3] as [number, number],
      why: 'The function is throttled again and again.',
      runbook: 'A function is throttled',
    },
  ]);
}

/**
 * For every HTTP API: a share of the requests, and only where there are enough for a share to mean anything.
 */
export function frontRules(front: HttpFront | undefined): AlarmRule[] {
  if (!front) return [];
  const metric = new cloudwatch.MathExpression({
    expression: 'IF(n >= 20, 100 * e / n, 0)',
    usingMetrics: {
      n: front.metricRequests({ period: FIVE_MINUTES }),
      e: front.metricServerErrors({ period: FIVE_MINUTES }),
    },
    period: FIVE_MINUTES,
    label: 'Server errors, % of requests',
  });
  return [
    {
      id: 'ServerErrorRate',
      metric,
      threshold: 5,
      datapoints: [2, 3],
      why: 'Of at least 20 requests in five minutes, 5 % or more are answered with a server error.',
      runbook: 'A request answered 500',
    },
  ];
}

/** For a queue of messages that were given up. */
export function deadLetterRule(metric: cloudwatch.Metric, runbook: string): AlarmRule {
  return {
    id: 'DeadLetters',
    metric: metric.with({ period: ONE_MINUTE }),
    threshold: 1,
    datapoints: [1, 1],
    why: 'A message is in the dead-letter queue.',
    runbook,
  };
}

/** Something that must not happen even once. */
export function oneIsTooMuch(id: string, metric: cloudwatch.Metric, why: string, runbook: string): AlarmRule {
  return {
    id,
    metric: metric.with({ period: FIVE_MINUTES }),
    threshold: 1,
    datapoints: [1, 1],
    why,
    runbook,
  };
}

/** What a block shows on a dashboard. */
export interface BlockGraphs {
  readonly front?: HttpFront;
  readonly functions: lambda.IFunction[];
  /** The block's own metrics, a graph for each title. */
  readonly own: Record<string, cloudwatch.IMetric[]>;
}

/** A headline, then rows of graphs: requests, what the block does, its functions. */
export function addBlockWidgets(
  block: Construct,
  dashboard: cloudwatch.Dashboard,
  { front, functions, own }: BlockGraphs,
): void {
  const graph = (title: string, left: cloudwatch.IMetric[], unit?: string) =>
    new cloudwatch.GraphWidget({
      title,
      left,
      leftYAxis: { min: 0, label: unit, showUnits: false },
      width: 8,
      height: 6,
    });
  const each = (title: string, metricOf: (fn: lambda.IFunction) => cloudwatch.Metric, unit?: string) =>
    graph(
      title,
      functions.map(fn => metricOf(fn).with({ label: fn.node.id })),
      unit,
    );
  dashboard.addWidgets(
    new cloudwatch.TextWidget({ markdown: `## ${block.node.path}`, width: 24, height: 1 }),
  );
  if (front) {
    const p = (percentile: number) =>
      front.metricLatency({ statistic: cloudwatch.Stats.percentile(percentile), label: `p${percentile}` });
    dashboard.addWidgets(
      graph('Requests', [front.metricRequests({ label: 'all' })]),
      graph('Errors', [
        front.metricClientErrors({ label: 'client (4xx)' }),
        front.metricServerErrors({ label: 'server (5xx)' }),
      ]),
      graph('Latency', [p(50), p(90), p(99)], 'ms'),
    );
  }
  const ownGraphs = Object.entries(own).map(([title, metrics]) => graph(title, metrics));
  if (ownGraphs.length > 0) dashboard.addWidgets(...ownGraphs);
  if (functions.length > 0) {
    dashboard.addWidgets(
      each('Invocations', fn => fn.metricInvocations()),
      each('Errors and throttles of functions', fn => fn.metricErrors()),
      each('Duration, p99', fn => fn.metricDuration({ statistic: cloudwatch.Stats.percentile(99) }), 'ms'),
    );
  }
}
