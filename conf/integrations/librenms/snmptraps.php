<?php
// SPDX-License-Identifier: BSD-2-Clause

// For the list 'trap_handlers' of LibreNMS' config/snmptraps.php.
return [
    'trap_handlers' => [
        'PORTWATCH-MIB::pwPoolRising' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
        'PORTWATCH-MIB::pwPoolFalling' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
        'PORTWATCH-MIB::pwConnectFailing' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
        'PORTWATCH-MIB::pwCollectorFailed' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
        'PORTWATCH-MIB::pwCollectorRecovered' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
        'PORTWATCH-MIB::pwSnatFailing' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
        'PORTWATCH-MIB::pwSnatRacing' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
        'PORTWATCH-MIB::pwConntrackRising' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
        'PORTWATCH-MIB::pwConntrackFalling' => \LibreNMS\Snmptrap\Handlers\PortwatchNotification::class,
    ],
];
