import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as sns from 'aws-cdk-lib/aws-sns';
import { Construct, type IConstruct } from 'constructs';
import { validateTypes } from './validate-types';

/**
 * Overrides for one alarm.
 */
export interface AlarmOverride {
  /**
   * The value at which it goes into alarm.
   *
   * @default - the block's, see its page
   */
  readonly threshold?: number;

  /**
   * How many periods are looked at.
   *
   * @default - the block's, see its page
   */
  readonly evaluationPeriods?: number;

  /**
   * In how many of them the threshold must be reached.
   *
   * @default - the block's, see its page; all of `evaluationPeriods` where that is set
   */
  readonly datapointsToAlarm?: number;

  /**
   * Whether the alarm is made at all.
   *
   * @default true
   */
  readonly enabled?: boolean;
}

/**
 * Options for the alarms of a block.
 */
export interface AlarmOptions {
  /**
   * A topic that is notified when an alarm begins and when it is over.
   *
   * @default - none
   */
  readonly topic?: sns.ITopic;

  /**
   * Other things to do when an alarm begins.
   *
   * @default - none
   */
  readonly actions?: cloudwatch.IAlarmAction[];

  /**
   * Single alarms, by their id as the block's page lists them, for instance `{ ServerErrorRate: { threshold:
   * 1 } }`. An id that the block does not have is an error.
   *
   * @default - every alarm as the block has it
   */
  readonly overrides?: Record<string, AlarmOverride>;

  /**
   * Where the alarms are made, for instance in a stack of their own, which then has to be deployed after the
   * block's stack.
   *
   * @default - in the block
   */
  readonly scope?: Construct;
}

/**
 * Anything with alarms and graphs of its own: every block.
 */
export interface IWatchable extends IConstruct {
  /**
   * Makes the recommended alarms. Nothing is watched unless this is called. A second call for the same
   * `scope` is an error.
   *
   * @param options who is notified, and what is overridden
   * @returns the alarms
   */
  addAlarms(options?: AlarmOptions): cloudwatch.Alarm[];

  /**
   * Puts the block's graphs on a dashboard.
   *
   * @param dashboard any dashboard
   */
  addWidgets(dashboard: cloudwatch.Dashboard): void;
}

/**
 * Properties of a `BlocksDashboard`.
 */
export interface BlocksDashboardProps {
  /**
   * The blocks to show, from the top.
   *
   * @default - none yet, see `addBlock`
   */
  readonly blocks?: IWatchable[];

  /**
   * The name of the dashboard, unique in the account.
   *
   * @default - CloudFormation makes one
   */
  readonly dashboardName?: string;
}

/**
 * One CloudWatch dashboard over many blocks.
 *
 *     new BlocksDashboard(this, 'Dashboard', { blocks: [birthdays, codes] });
 */
export class BlocksDashboard extends Construct {
  /** The dashboard, for widgets of your own. */
  public readonly dashboard: cloudwatch.Dashboard;

  /**
   * @param scope the construct it belongs to, often a stack
   * @param id its name there, a part of every logical id: changing it makes new resources
   * @param props overrides of the defaults
   */
  public constructor(scope: Construct, id: string, props: BlocksDashboardProps = {}) {
    super(scope, id);
    validateTypes(this, 'BlocksDashboardProps', props);
    this.dashboard = new cloudwatch.Dashboard(this, 'Dashboard', { dashboardName: props.dashboardName });
    for (const block of props.blocks ?? []) this.addBlock(block);
  }

  /**
   * Puts a block's graphs below those that are there already.
   *
   * @param block the block
   */
  public addBlock(block: IWatchable): void {
    block.addWidgets(this.dashboard);
  }
}
