<?php
// SPDX-License-Identifier: BSD-2-Clause

/**
 * PortwatchNotification.php
 *
 * An event of LibreNMS for each notification of PORTWATCH-MIB: for LibreNMS/Snmptrap/Handlers, with the lines of snmptraps.php in
 * config/snmptraps.php. snmptrapd has to know the MIB: see README.md.
 */

namespace LibreNMS\Snmptrap\Handlers;

use App\Models\Device;
use LibreNMS\Enum\Severity;
use LibreNMS\Interfaces\SnmptrapHandler;
use LibreNMS\Snmptrap\Trap;

class PortwatchNotification implements SnmptrapHandler
{
    /**
     * The color of the event for the state that a pool is in now: a word, or a number where snmptrapd does not know the words.
     */
    private const STATES = [
        'normal' => Severity::Ok,
        'warning' => Severity::Warning,
        'critical' => Severity::Error,
        'exhausted' => Severity::Error,
    ];

    public function handle(Device $device, Trap $trap)
    {
        $name = preg_replace('/^.*::/', '', $trap->getTrapOid());
        switch ($name) {
            case 'pwPoolRising':
            case 'pwPoolFalling':
                $this->pool($trap, $name == 'pwPoolRising' ? 'rises to' : 'falls to');
                break;
            case 'pwConnectFailing':
                $trap->log(sprintf('%s calls of connect() failed for want of a port, mostly of %s: %s', $this->value($trap, 'pwEventFailures'),
                    $this->value($trap, 'pwEventPoolName'), $this->value($trap, 'pwEventText')), Severity::Error);
                break;
            case 'pwSnatFailing':
            case 'pwSnatRacing':
                $trap->log(sprintf('%s packets of translated connections were dropped: %s', $this->value($trap, 'pwEventFailures'),
                    $this->value($trap, 'pwEventText')), $name == 'pwSnatFailing' ? Severity::Error : Severity::Warning);
                break;
            case 'pwConntrackRising':
            case 'pwConntrackFalling':
                $trap->log($this->value($trap, 'pwEventText'), $name == 'pwConntrackRising' ? Severity::Warning : Severity::Ok);
                break;
            case 'pwCollectorFailed':
                $trap->log('portwatchd: the collector fails: ' . $this->value($trap, 'pwEventText'), Severity::Error);
                break;
            case 'pwCollectorRecovered':
                $trap->log('portwatchd: the collector works again', Severity::Ok);
                break;
        }
    }

    private function pool(Trap $trap, string $goes): void
    {
        $state = $this->state($trap, 'pwEventState');
        $label = $this->value($trap, 'pwEventLabel');
        $text = sprintf('%s%s %s %s, was %s: %s %% used, %s of %s ports free, %s in TIME_WAIT',
            $this->value($trap, 'pwEventPoolName'), $label == '' ? '' : " ($label)", $goes, $state,
            $this->state($trap, 'pwEventPreviousState'), $this->value($trap, 'pwEventUtilization'), $this->value($trap, 'pwEventFree'),
            $this->value($trap, 'pwEventCapacity'), $this->value($trap, 'pwEventTimeWait'));
        $trap->log($text, self::STATES[$state] ?? Severity::Unknown);
    }

    /**
     * Units follow the number where snmptrapd knows the MIB.
     */
    private function value(Trap $trap, string $object): string
    {
        $value = (string) $trap->getOidData("PORTWATCH-MIB::$object.0");

        return preg_replace('/^(\d+) (ports|percent|failures)$/', '$1', $value);
    }

    private function state(Trap $trap, string $object): string
    {
        $value = $this->value($trap, $object);

        return is_numeric($value) ? (array_keys(self::STATES)[$value - 1] ?? $value) : preg_replace('/\(\d+\)$/', '', $value);
    }
}
