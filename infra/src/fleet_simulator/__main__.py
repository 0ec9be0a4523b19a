from fleet_simulator.cli import main

main()
