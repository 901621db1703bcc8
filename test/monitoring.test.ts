import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as sns from 'aws-cdk-lib/aws-sns';
import { describe, expect, test } from 'vitest';
import { BLOCK_CASES } from './blocks';
import { BlocksDashboard, type IWatchable } from '../src';

const RUNBOOK = readFileSync(path.join(__dirname, '..', 'docs', 'runbook.md'), 'utf8');

const isWatchable = (block: object): block is IWatchable => 'addAlarms' in block;

/** Those that have functions or resources to watch. */
const WATCHED = BLOCK_CASES.filter(({ minimal }) =>
  isWatchable(minimal(new Stack(new App(), 'Test'), 'Block')),
);

test('every block is watchable', () => expect(WATCHED).toEqual(BLOCK_CASES));

describe.each(WATCHED)('$name', ({ minimal, maximal }) => {
  const create = (which: typeof minimal = maximal) => {
    const stack = new Stack(new App(), 'Test');
    const block = which(stack, 'Block') as unknown as IWatchable;
    return { stack, block };
  };
  /**
   * Without those by which CodeDeploy knows that it has to roll back: nobody is notified of them, and whoever
   * deploys asks for them.
   */
  const alarmsOf = (stack: Stack) =>
    Object.values(Template.fromStack(stack).findResources('AWS::CloudWatch::Alarm')).filter(
      ({ Properties }) => !/^A new version of /.test(String(Properties.AlarmDescription)),
    );

  test('makes no alarm and no dashboard unless asked', () => {
    for (const which of [minimal, maximal]) {
      const { stack } = create(which);
      expect(alarmsOf(stack)).toEqual([]);
      Template.fromStack(stack).resourceCountIs('AWS::CloudWatch::Dashboard', 0);
    }
  });

  test('makes alarms that name their entry in the runbook, and are silent without data', () => {
    const { stack, block } = create();
    const made = block.addAlarms();
    const alarms = alarmsOf(stack);
    expect(alarms.length).toBe(made.length);
    expect(alarms.length).toBeGreaterThan(1);
    for (const { Properties } of alarms) {
      const [, line] = /What to do: docs\/runbook\.md, "(.+)"\.$/.exec(
        Properties.AlarmDescription as string,
      )!;
      expect(RUNBOOK).toContain(`**${line}`);
      expect(Properties).toMatchObject({
        TreatMissingData: 'notBreaching',
        ComparisonOperator: 'GreaterThanOrEqualToThreshold',
      });
    }
  });

  test('notifies a topic when an alarm begins and when it is over', () => {
    const { stack, block } = create();
    const topic = new sns.Topic(stack, 'Topic');
    block.addAlarms({ topic });
    const arn = [stack.resolve(topic.topicArn)];
    for (const { Properties } of alarmsOf(stack)) {
      expect(Properties).toMatchObject({ AlarmActions: arn, OKActions: arn });
    }
  });

  test('lets single alarms be overridden, or off, by their id', () => {
    const { stack, block } = create();
    const [first, second] = create()
      .block.addAlarms()
      .map(({ node }) => node.id);
    block.addAlarms({
      overrides: { [first]: { enabled: false }, [second]: { threshold: 77, evaluationPeriods: 9 } },
    });
    const ids = block.node.findAll().map(({ node }) => node.id);
    expect(ids).not.toContain(first);
    Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Alarm', {
      Threshold: 77,
      EvaluationPeriods: 9,
      DatapointsToAlarm: 9,
    });
  });

  test('refuses an alarm that is not there, and a second call', () => {
    const { block } = create();
    expect(() => block.addAlarms({ overrides: { Typo: {} } })).toThrow(
      /names the alarm "Typo", and there is none: the ids are .+\(at Test\/Block\)/,
    );
    block.addAlarms();
    expect(() => block.addAlarms()).toThrow(/was called before/);
  });

  test('can have its alarms in another stack, twice if need be', () => {
    const app = new App();
    const block = minimal(new Stack(app, 'Test'), 'Block') as unknown as IWatchable;
    const other = new Stack(app, 'Alarms');
    block.addAlarms({ scope: other });
    block.addAlarms();
    expect(() => app.synth()).not.toThrow();
    expect(alarmsOf(other).length).toBeGreaterThan(1);
  });

  test('shows its graphs on a dashboard', () => {
    const { stack, block } = create();
    new BlocksDashboard(stack, 'Dashboard', { blocks: [block], dashboardName: 'blocks' });
    Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Dashboard', {
      DashboardName: 'blocks',
      DashboardBody: Match.objectLike({
        'Fn::Join': ['', Match.arrayWith([Match.stringLikeRegexp('## Test/Block.*"title":')])],
      }),
    });
  });
});

test('one dashboard shows many blocks', () => {
  const stack = new Stack(new App(), 'Test');
  const blocks = WATCHED.map(({ minimal, name }) => minimal(stack, name) as unknown as IWatchable);
  new BlocksDashboard(stack, 'Dashboard', { blocks });
  const body = JSON.stringify(Template.fromStack(stack).findResources('AWS::CloudWatch::Dashboard'));
  for (const { name } of WATCHED) expect(body).toContain(`## Test/${name}`);
});

test('what the API answers with a server error is an alarm by share, and only of enough requests', () => {
  const stack = new Stack(new App(), 'Test');
  (BLOCK_CASES[0].minimal(stack, 'Block') as unknown as IWatchable).addAlarms();
  Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Alarm', {
    Threshold: 5,
    EvaluationPeriods: 3,
    DatapointsToAlarm: 2,
    Metrics: Match.arrayWith([Match.objectLike({ Expression: 'IF(n >= 20, 100 * e / n, 0)' })]),
  });
});
