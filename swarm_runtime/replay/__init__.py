"""What both shells share and machines may not do: the run folder, the journal, a run's plan.

``plan`` turns settings into everything a run needs, ``journal`` is its durable memory of finished
rounds, ``assemble`` turns the journal into results, ``folder`` writes them. Above: ``actors`` and
``simulator``. Below: machines and report.
"""
