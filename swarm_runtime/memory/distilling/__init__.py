"""From tries to what is worth knowing, without a model; and how patterns relate. Pure.

``distil`` writes items from what ``steps`` and ``generalise`` make of tries, ``item_rules`` say
what an item must be, ``links`` find near duplicates and contradictions. Above: ``insight``.
Below: ``records``, ``vectors``.
"""
