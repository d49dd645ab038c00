<?php
// SPDX-License-Identifier: BSD-2-Clause

// Stands in for LibreNMS: gives the shipped handler what snmptrapd hands on, and prints "severity message" for each event.

namespace App\Models {
    class Device
    {
    }
}

namespace LibreNMS\Enum {
    enum Severity: int
    {
        case Unknown = 0;
        case Ok = 1;
        case Info = 2;
        case Notice = 3;
        case Warning = 4;
        case Error = 5;
    }
}

namespace LibreNMS\Interfaces {
    interface SnmptrapHandler
    {
        public function handle(\App\Models\Device $device, \LibreNMS\Snmptrap\Trap $trap);
    }
}

namespace LibreNMS\Snmptrap {
    class Trap
    {
        private array $values = [];

        public function __construct(array $lines)
        {
            foreach (array_slice($lines, 2) as $line) {
                [$oid, $value] = explode(' ', $line, 2) + [1 => ''];
                $this->values[$oid] = trim($value, '"');
            }
        }

        public function getTrapOid()
        {
            return $this->getOidData('SNMPv2-MIB::snmpTrapOID.0');
        }

        public function getOidData($oid)
        {
            return $this->values[$oid] ?? null;
        }

        public function log(string $message, \LibreNMS\Enum\Severity $severity): void
        {
            file_put_contents($GLOBALS['argv'][2], "$severity->name $message\n", FILE_APPEND);
        }
    }
}

namespace {
    [, $source, $output] = $argv;
    require "$source/Handlers/PortwatchNotification.php";
    $handlers = (require "$source/snmptraps.php")['trap_handlers'];
    $trap = new \LibreNMS\Snmptrap\Trap(explode("\n", trim(stream_get_contents(STDIN))));
    $handler = $handlers[$trap->getTrapOid()] ?? null;
    if ($handler === null) {
        file_put_contents($output, 'no handler for ' . $trap->getTrapOid() . "\n", FILE_APPEND);
    } else {
        (new $handler())->handle(new \App\Models\Device(), $trap);
    }
}
